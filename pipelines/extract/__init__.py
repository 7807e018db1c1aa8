"""Export of the images of a dataset to folders."""

from pipelines.extract.export import extract
from pipelines.extract.metadata import options_to_convert

__all__ = ["extract", "options_to_convert"]
