"""Reading of every intact record of a damaged file, and the kinds of damage."""
