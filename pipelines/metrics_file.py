"""File with the metrics of a run, for a collector of Prometheus.

The file is written only after a successful run. If a run fails or never starts, the time of the
last success becomes too old: one alert detects all of these cases.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from records.errors import OutputError, UsageError
from records.runtime.extras import require_extra
from records.storage.errors import HINT_FIX, translate_write_errors
from records.storage.exclusive import replace_file, require_outside
from records.storage.urls import local_path
from records.text.urls import redact_url

if TYPE_CHECKING:
    from records.runtime.telemetry import Metric

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


def write_metrics(path: str, metrics: Iterable[Metric]) -> None:
    """Write the metrics of a run that has ended now; replace the file atomically.

    Args:
        path: the path of the file, for which `check_metrics_file` raises no error.
        metrics: the metrics; those with the same name have labels of the same names.

    Raises:
        OutputError: the file cannot be written, or another program has created it during the run.
        StorageError: storage failed.
        UsageError: prometheus_client is not installed.
    """
    client = require_extra(_PACKAGE, _EXTRA)
    registry = client.CollectorRegistry()
    gauges: dict[str, Any] = {}
    for name, text, _, value, labels in metrics:
        if name not in gauges:
            gauges[name] = client.Gauge(_PREFIX + name, text, [*labels], registry=registry)
        gauges[name].labels(**labels).set(value)
    file = _local_file(path)
    with translate_write_errors(path, hint=HINT_FIX):
        _check_content(file, path)
    replace_file(str(file), client.generate_latest(registry))
