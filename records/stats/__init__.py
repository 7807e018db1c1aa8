"""Class counts, image sizes, formats and exact duplicates of a dataset."""

from records.stats.counts import Stats, read_index_rows, read_record, stats
from records.stats.duplicates import SPLIT_PRIORITY, duplicate_keys, find_groups, leak_keys

__all__ = [
    "SPLIT_PRIORITY",
    "Stats",
    "duplicate_keys",
    "find_groups",
    "leak_keys",
    "read_index_rows",
    "read_record",
    "stats",
]
