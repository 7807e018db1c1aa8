"""Index of a shard: one row per record, and a summary."""

from records.format.index.file import (
    Index,
    IndexFile,
    decode_index,
    decode_index_file,
    encode_index,
    read_index,
    read_index_file,
    read_shard_index,
)
from records.format.index.labels import count_labels, flat_labels, label_lists
from records.format.index.row import (
    SCHEMA,
    IndexRow,
    RowForm,
    hash_group,
    index_schema,
    new_row_table,
)
from records.format.index.summary import Reject, ShardSummary

__all__ = [
    "SCHEMA",
    "Index",
    "IndexFile",
    "IndexRow",
    "Reject",
    "RowForm",
    "ShardSummary",
    "count_labels",
    "decode_index",
    "decode_index_file",
    "encode_index",
    "flat_labels",
    "hash_group",
    "index_schema",
    "label_lists",
    "new_row_table",
    "read_index",
    "read_index_file",
    "read_shard_index",
]
