"""A finished dataset: splits by name, records by number."""

from records.dataset.dataset import (
    Dataset,
    Record,
    Split,
    decode_record,
    missing_as_corrupt,
    open_dataset,
)

__all__ = ["Dataset", "Record", "Split", "decode_record", "missing_as_corrupt", "open_dataset"]
