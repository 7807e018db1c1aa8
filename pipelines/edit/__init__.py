"""Removal of records from a dataset, in a new generation."""

from pipelines.edit.remove import remove

__all__ = ["remove"]
