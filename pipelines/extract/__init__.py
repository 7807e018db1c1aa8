"""Export of the images of a dataset to folders."""

from pipelines.extract.export import extract, require_absent, require_local
from pipelines.extract.metadata import needs_label_map, options_to_convert

__all__ = ["extract", "needs_label_map", "options_to_convert", "require_absent", "require_local"]
