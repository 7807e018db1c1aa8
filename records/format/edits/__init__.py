"""Lists of edited records, one file per generation."""

from records.format.edits.lists import EditList
from records.format.edits.relabelled import RELABELLED, RelabelledRecord, read_relabelled
from records.format.edits.removed import REMOVED, RemovedRecord

__all__ = [
    "RELABELLED",
    "REMOVED",
    "EditList",
    "RelabelledRecord",
    "RemovedRecord",
    "read_relabelled",
]
