"""Export of the images of a dataset to folders."""

from pipelines.extract.export import extract
from pipelines.extract.metadata import needs_label_map, options_to_convert

__all__ = ["extract", "needs_label_map", "options_to_convert"]
