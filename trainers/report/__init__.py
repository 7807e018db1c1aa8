"""Report of training runs: the sections of an HTML page about each run."""

from trainers.report.measure import MeasuredRun, measure_run
from trainers.report.sections import run_sections

__all__ = ["MeasuredRun", "measure_run", "run_sections"]
