"""Lists of edited records, one file per generation."""

from records.format.edits.lists import EditList
from records.format.edits.past import PastEdits, read_past_edits
from records.format.edits.relabelled import RELABELLED, RelabelledRecord
from records.format.edits.removed import REMOVED, RemovedRecord

__all__ = [
    "RELABELLED",
    "REMOVED",
    "EditList",
    "PastEdits",
    "RelabelledRecord",
    "RemovedRecord",
    "read_past_edits",
]
