"""Untrusted Parquet files, read within bounds on memory and time."""

from records.untrusted_parquet.read import InvalidParquetError, read_untrusted

__all__ = ["InvalidParquetError", "read_untrusted"]
