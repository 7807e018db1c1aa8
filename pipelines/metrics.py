"""Metrics of a run, for the textfile collector of Prometheus.

The file is written only after a successful run. If a run fails or never starts, the time of the
last success becomes too old: one alert detects all of these cases.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import OutputError, UsageError
from records.runtime.extras import require_extra
from records.storage.errors import HINT_FIX, translate_write_errors
from records.storage.exclusive import replace_file, require_outside
from records.storage.urls import local_path
from records.text.urls import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.report import Report
    from records.format.manifest import Manifest

_PACKAGE, _EXTRA = "prometheus_client", "metrics"
_PREFIX = "shardmill_"
_FIRST_BYTES = f"# HELP {_PREFIX}".encode()


def check_metrics_file(path: str, output: str) -> None:
    """Check that metrics can be written to a local file, before the run begins.

    Args:
        path: the path of the file.
        output: the path or URL of the dataset that the run writes.

    Raises:
        OutputError: the folder does not exist, or the file exists and contains no metrics of
            shardmill.
        StorageError: storage failed.
        UsageError: the path is a URL or inside the dataset, or prometheus_client is not installed.
    """
    require_extra(_PACKAGE, _EXTRA)
    file = _local_file(path)
    require_outside(str(file), output, name="metrics file")
    with translate_write_errors(path, hint=HINT_FIX):
        if not file.parent.is_dir():
            raise OutputError(
                "the folder of the file does not exist", path=path, hint="create the folder"
            )
        _check_content(file, path)


def _local_file(path: str) -> Path:
    """Return the file of a path; of a link, the file to which it points."""
    local = local_path(path)
    if local is None:
        raise UsageError("--metrics takes the path of a local file", got=redact_url(path))
    return Path(os.path.realpath(local))


def _check_content(file: Path, path: str) -> None:
    """Raise OutputError if a file exists that contains no metrics of shardmill."""
    if os.path.lexists(file) and not _has_metrics(file):
        raise OutputError(
            "the file exists, and contains no metrics of shardmill",
            path=path,
            hint="choose another name, or remove this file",
        )


def _has_metrics(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(_FIRST_BYTES)) == _FIRST_BYTES


def write_metrics(path: str, report: Report, manifest: Manifest, *, seconds: float) -> None:
    """Write the metrics of a run that has ended now; replace the file atomically.

    Args:
        path: the path of the file, for which `check_metrics_file` raises no error.
        report: the report of the run.
        manifest: the manifest of the dataset after the run.
        seconds: the duration of the run.

    Raises:
        OutputError: the file cannot be written, or another program has created it during the run.
        StorageError: storage failed.
        UsageError: prometheus_client is not installed.
    """
    client = require_extra(_PACKAGE, _EXTRA)
    registry = client.CollectorRegistry()
    for name, text, value in _list_values(report, seconds):
        gauge = client.Gauge(_PREFIX + name, text, ["output"], registry=registry)
        gauge.labels(report.output).set(value)
    labels = ["output", "split"]
    images = client.Gauge(f"{_PREFIX}images", "Images of the dataset.", labels, registry=registry)
    size = client.Gauge(f"{_PREFIX}bytes", "Bytes of its shards.", labels, registry=registry)
    for split, info in manifest.splits.items():
        images.labels(report.output, split).set(info.records)
        size.labels(report.output, split).set(info.bytes)
    file = _local_file(path)
    with translate_write_errors(path, hint=HINT_FIX):
        _check_content(file, path)
    replace_file(str(file), client.generate_latest(registry))


def _list_values(report: Report, seconds: float) -> Iterator[tuple[str, str, float]]:
    """Yield the name, the description and the value of the metrics of a run."""
    counts, differences = report.counts, report.differences
    yield "last_success_timestamp_seconds", "End of the last successful run.", time.time()
    yield "run_seconds", "Duration of the run.", seconds
    yield "generation", "Generations that the dataset has had.", report.generation
    yield "found_files", "Files that the run found in the source.", counts.found
    yield "known_files", "Files that earlier runs stored, rejected or removed.", counts.known
    yield "new_images", "Images that the run stored.", counts.stored
    yield "removed_images", "Images that the run removed.", report.removed
    yield "corrected_images", "Images with a new class.", report.corrected
    yield "rejected_files", "Files that the run rejected.", counts.rejected
    quarantined = counts.rejected if report.quarantined else 0
    yield "quarantined_files", "Files that --quarantine rejected.", quarantined
    yield "skipped_files", "Files that are not images.", counts.skipped
    yield "excluded_files", "Files that options exclude.", counts.excluded
    yield "changed_files", "Stored files with other content in the source.", differences.changed
    yield "gone_files", "Stored files that are missing from the source.", differences.gone
    yield "renamed_files", "Stored files with another path in the source.", differences.renamed
    yield "relabelled_files", "Stored files with other labels.", differences.relabelled
