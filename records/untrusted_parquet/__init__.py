"""Parquet files that a stranger may have written, read within a bound on memory and time."""

from records.untrusted_parquet.read import InvalidParquetError, read_untrusted

__all__ = ["InvalidParquetError", "read_untrusted"]
