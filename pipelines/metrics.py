"""Metrics of a successful run, described once for all exports."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from records.runtime.telemetry import Metric

if TYPE_CHECKING:
    from pipelines.edit.report import EditReport
    from pipelines.report import Report, SplitReport
    from records.format.layout import SplitName

_FILE, _IMAGE = "{file}", "{image}"
_DESCRIPTIONS = {
    "last_success_timestamp_seconds": ("End of the last successful run.", "s"),
    "run_seconds": ("Duration of the run.", "s"),
    "generation": ("Generations that the dataset has had.", "{generation}"),
    "found_files": ("Files that the run found in the source.", _FILE),
    "known_files": ("Files that earlier runs stored, rejected or removed.", _FILE),
    "new_images": ("Images that the run stored.", _IMAGE),
    "removed_images": ("Images that the run removed.", _IMAGE),
    "corrected_images": ("Images with a new class.", _IMAGE),
    "rejected_files": ("Files that the run rejected.", _FILE),
    "quarantined_files": ("Files that --quarantine rejected.", _FILE),
    "skipped_files": ("Files that are not images.", _FILE),
    "excluded_files": ("Files that options exclude.", _FILE),
    "changed_files": ("Stored files with other content in the source.", _FILE),
    "gone_files": ("Stored files that are missing from the source.", _FILE),
    "renamed_files": ("Stored files with another path in the source.", _FILE),
    "relabelled_files": ("Stored files with other labels.", _FILE),
    "images": ("Images of the dataset.", _IMAGE),
    "bytes": ("Bytes of its shards.", "By"),
}
"""The description and the unit of each metric, by name."""


def describe_conversion(
    report: Report, splits: Mapping[SplitName, SplitReport], *, seconds: float
) -> Iterator[Metric]:
    """Yield the metrics of a conversion or compaction that has ended now.

    Args:
        report: the report of the run.
        splits: the splits of the dataset after the run.
        seconds: the duration of the run.
    """
    counts, differences = report.counts, report.differences
    values = {
        "generation": report.generation,
        "found_files": counts.found,
        "known_files": counts.known,
        "new_images": counts.stored,
        "removed_images": report.removed,
        "corrected_images": report.corrected,
        "rejected_files": counts.rejected,
        "quarantined_files": counts.rejected if report.quarantined else 0,
        "skipped_files": counts.skipped,
        "excluded_files": counts.excluded,
        "changed_files": differences.changed,
        "gone_files": differences.gone,
        "renamed_files": differences.renamed,
        "relabelled_files": differences.relabelled,
    }
    return _describe(report.output, values, splits, seconds)


def describe_edit(report: EditReport, *, seconds: float) -> Iterator[Metric]:
    """Yield the metrics of an edit that has ended now.

    Args:
        report: the report of the run.
        seconds: the duration of the run.
    """
    values = {
        "generation": report.generation,
        "removed_images": report.removed,
        "corrected_images": report.relabelled,
    }
    return _describe(report.output, values, report.splits, seconds)


def _describe(
    output: str,
    values: Mapping[str, int],
    splits: Mapping[SplitName, SplitReport],
    seconds: float,
) -> Iterator[Metric]:
    times = {"last_success_timestamp_seconds": time.time(), "run_seconds": seconds}
    labels = {"output": output}
    for name, value in {**times, **values}.items():
        yield Metric(name, *_DESCRIPTIONS[name], value, labels)
    for split, counts in splits.items():
        labels = {"output": output, "split": split}
        yield Metric("images", *_DESCRIPTIONS["images"], counts.images, labels)
        yield Metric("bytes", *_DESCRIPTIONS["bytes"], counts.bytes, labels)
