"""The main path in environments that are not the developer's."""
