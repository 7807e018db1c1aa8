"""Reader of damaged files, and the kinds of damage."""
