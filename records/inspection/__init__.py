"""Summary of a dataset or of any TFRecord file."""

from records.inspection.feature_stats import FeatureStats
from records.inspection.file_summary import FileSummary, summarize_file
from records.inspection.report import DatasetInspection, FileInspection, inspect

__all__ = [
    "DatasetInspection",
    "FeatureStats",
    "FileInspection",
    "FileSummary",
    "inspect",
    "summarize_file",
]
