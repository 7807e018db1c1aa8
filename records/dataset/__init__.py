"""Reading API of a finished dataset: splits by name, records by number."""

from records.dataset.dataset import Dataset, SplitNotFoundError, open_dataset
from records.dataset.epoch_batches import EpochBatches
from records.dataset.mapped_split import MappedSplit
from records.dataset.record import Record, decode_record
from records.dataset.split import Split
from records.format.shard import missing_as_corrupt

__all__ = [
    "Dataset",
    "EpochBatches",
    "MappedSplit",
    "Record",
    "Split",
    "SplitNotFoundError",
    "decode_record",
    "missing_as_corrupt",
    "open_dataset",
]
