"""History of a dataset: the log of its generations, and their differences."""

from records.history.diff import DatasetDiff, DiffSummary, diff
from records.history.log import History, LogEntry, log

__all__ = ["DatasetDiff", "DiffSummary", "History", "LogEntry", "diff", "log"]
