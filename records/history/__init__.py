"""History of a dataset: the log of its generations."""

from records.history.log import History, LogEntry, log

__all__ = ["History", "LogEntry", "log"]
