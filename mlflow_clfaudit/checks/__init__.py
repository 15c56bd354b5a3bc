"""One check a file; the folder is the area."""
