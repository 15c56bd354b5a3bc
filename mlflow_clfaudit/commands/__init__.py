"""The commands of `mlflow clfaudit`, one a module: each parses its words, calls one function and prints."""
