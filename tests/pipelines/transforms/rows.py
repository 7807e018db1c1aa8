"""Rows of folders, and pipelines that write them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult

from pipelines.report import Report
from pipelines.transforms import WriteDataset

Rows = list[dict[str, Any]]


def rows_of(source: Path) -> Rows:
    """Return the rows of a source with one folder per class, with the bytes of its files."""
    return [
        {
            "key": path.relative_to(source).as_posix(),
            "label": path.relative_to(source).parts[0],
            "image": path.read_bytes(),
        }
        for path in sorted(source.rglob("*"))
        if path.is_file()
    ]


def write(
    rows: Iterable[Any] | beam.PTransform,
    output: Path | str,
    bundle_repeat: int = 0,
    **options: Any,
) -> Report:
    """Write rows as a dataset, and return the report."""
    return run(rows, output, bundle_repeat, **options)[0]


def run(
    rows: Iterable[Any] | beam.PTransform,
    output: Path | str,
    bundle_repeat: int = 0,
    **options: Any,
) -> tuple[Report, PipelineResult]:
    """Write rows as a dataset, and return the report and the result of the pipeline."""
    reports: list[Report] = []
    _REPORTS[id(reports)] = reports
    pipeline = beam.Pipeline(runner=FnApiRunner(bundle_repeat=bundle_repeat))
    source = rows if isinstance(rows, beam.PTransform) else beam.Create(list(rows), reshuffle=False)
    written = pipeline | "Rows" >> source | WriteDataset(output, **options)
    written | "Keep" >> beam.Map(_keep, id(reports))
    try:
        result = pipeline.run()
        result.wait_until_finish()
    finally:
        del _REPORTS[id(reports)]
    return reports[-1], result


# The worker is a thread of this process, but receives a pickled function.
_REPORTS: dict[int, list[Report]] = {}


def _keep(report: Report, number: int) -> None:
    _REPORTS[number].append(report)
