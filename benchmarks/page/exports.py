"""Table of the export formats, for the page about exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.page import statistics
from benchmarks.page.tables import markdown
from benchmarks.suites import export_latency as suite

if TYPE_CHECKING:
    from benchmarks.harness.samples import Result


_TIMES = (suite.MEDIAN, suite.SLOW)


def export_latency_table(result: Result) -> str:
    """Return a table of accuracy, size and time per image of each form, by number of threads."""
    rows = []
    for name in statistics.names_of(result.samples):

        def figure(case: str, key: str, of: str = name) -> float:
            return statistics.median(result.of(case), of, lambda sample: sample.figures[key])

        first, *_ = result.cases()
        times = [1e3 * figure(case, key) for case in result.cases() for key in _TIMES]
        size_mb = figure(first, suite.MODEL_BYTES) / 1e6
        accuracy = 100 * figure(first, suite.ACCURACY)
        rows.append(
            [name, f"{size_mb:.1f}", f"{accuracy:.1f} %", *(f"{time_ms:.1f}" for time_ms in times)]
        )
    heads = [f"{case}: {head}" for case in result.cases() for head in ("median ms", "95 % ms")]
    return markdown(["format", "MB", "accuracy", *heads], rows)
