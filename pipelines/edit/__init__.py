"""Removal and correction of records of a dataset, in a new generation."""

from pipelines.edit.relabel import relabel
from pipelines.edit.remove import remove

__all__ = ["relabel", "remove"]
