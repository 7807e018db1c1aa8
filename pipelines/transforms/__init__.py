"""PTransforms for the Beam pipelines of users."""

from pipelines.transforms.read import ReadExamples, ReadRecords

__all__ = ["ReadExamples", "ReadRecords"]
