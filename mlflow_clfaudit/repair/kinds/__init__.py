"""One module for each kind of repair, found by being here."""
