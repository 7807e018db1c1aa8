"""Sections about training runs, and about wrong labels, in a report."""

from trainers.report.label_errors import label_errors_section
from trainers.report.measure import MeasuredRun, measure_run
from trainers.report.sections import run_sections

__all__ = ["MeasuredRun", "label_errors_section", "measure_run", "run_sections"]
