"""Sections about training runs in a report."""

from trainers.report.measure import MeasuredRun, measure_run
from trainers.report.sections import run_sections

__all__ = ["MeasuredRun", "measure_run", "run_sections"]
