"""Generations of a dataset: their names and saved manifests."""

from records.generations.names import require_whole_dataset, split_generation
from records.generations.saved import (
    list_saved,
    read_generation,
    read_saved,
    replace_manifest,
    saved_files,
)

__all__ = [
    "list_saved",
    "read_generation",
    "read_saved",
    "replace_manifest",
    "require_whole_dataset",
    "saved_files",
    "split_generation",
]
