"""Reader of untrusted Parquet files, with limits on memory and time."""

from records.untrusted_parquet.read import (
    InvalidParquetError,
    read_untrusted,
    read_untrusted_columns,
)

__all__ = ["InvalidParquetError", "read_untrusted", "read_untrusted_columns"]
