"""The whole conversion, decided before a byte is written."""
