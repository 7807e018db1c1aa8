"""Formats of containers: a function per format that lists its entries."""
