"""Metadata of a dataset in formats of other programs, and its description."""
