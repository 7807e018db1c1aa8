"""Reader of untrusted Parquet files, with limits on memory and time."""

from records.untrusted_parquet.read import (
    InvalidParquetError,
    is_list,
    read_untrusted,
    read_untrusted_columns,
)
from records.untrusted_parquet.stream import ParquetStream

__all__ = [
    "InvalidParquetError",
    "ParquetStream",
    "is_list",
    "read_untrusted",
    "read_untrusted_columns",
]
