"""Generations of a dataset: names, saved manifests and provenance."""

from records.generations.names import require_whole_dataset, split_generation
from records.generations.provenance import (
    Provenance,
    encode_provenance,
    make_provenance,
    read_provenance,
    write_provenance,
)
from records.generations.saved import (
    encode_saved,
    iter_saved,
    list_saved,
    read_generation,
    read_saved,
    replace_manifest,
    saved_files,
)

__all__ = [
    "Provenance",
    "encode_provenance",
    "encode_saved",
    "iter_saved",
    "list_saved",
    "make_provenance",
    "read_generation",
    "read_provenance",
    "read_saved",
    "replace_manifest",
    "require_whole_dataset",
    "saved_files",
    "split_generation",
    "write_provenance",
]
