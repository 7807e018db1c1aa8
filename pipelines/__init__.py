"""Conversion of labelled images to datasets."""
