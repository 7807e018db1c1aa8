"""Counts, sizes, formats and exact duplicates of a dataset."""
