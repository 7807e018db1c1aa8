"""Comparison of runs."""

from trainers.comparison.runs import RunsComparison, RunSummary, runs

__all__ = ["RunSummary", "RunsComparison", "runs"]
