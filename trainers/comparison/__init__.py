"""Comparison of runs."""

from trainers.comparison.paired import PairedComparison, compare_paired
from trainers.comparison.runs import (
    RunsComparison,
    RunSummary,
    find_differences,
    format_option,
    runs,
)

__all__ = [
    "PairedComparison",
    "RunSummary",
    "RunsComparison",
    "compare_paired",
    "find_differences",
    "format_option",
    "runs",
]
