"""Lists of edited records, one file per generation."""

from records.format.edits.removed import (
    RemovedRecord,
    encode_removed,
    read_all_removed,
    read_removed,
)

__all__ = ["RemovedRecord", "encode_removed", "read_all_removed", "read_removed"]
