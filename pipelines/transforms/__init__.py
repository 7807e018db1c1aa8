"""PTransforms for the Beam pipelines of users."""

from pipelines.transforms.read import ReadExamples, ReadRecords
from pipelines.transforms.write import WriteDataset

__all__ = ["ReadExamples", "ReadRecords", "WriteDataset"]
