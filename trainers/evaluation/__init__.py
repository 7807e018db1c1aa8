"""A trained model measured on a split."""
