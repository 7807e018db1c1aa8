"""Reader of untrusted Parquet files, with limits on memory and time."""

from records.untrusted_parquet.read import InvalidParquetError, read_untrusted

__all__ = ["InvalidParquetError", "read_untrusted"]
