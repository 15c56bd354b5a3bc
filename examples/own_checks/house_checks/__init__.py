"""The checks of one team: what it agreed on, asked of every run."""
