"""Training curves of a run, from `history.csv`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from records.errors import ShardmillError
from records.report.charts import draw_lines
from records.report.parts import Note, Part
from trainers.runs.history import decode_history
from trainers.runs.run_dir import HISTORY
from trainers.tasks import task_of

if TYPE_CHECKING:
    from trainers.runs.run_dir import Run

_MAX_BYTES = 10_000_000


def history_parts(run: Run) -> Iterator[Part]:
    """Yield the curves of the metrics that the task of a run shows, by epoch."""
    epochs = _read_history(run)
    if not epochs:
        yield Note("The run has no history of its epochs.")
        return
    numbers = [epoch["epoch"] for epoch in epochs]
    for metric in task_of(run.config).curves:
        series = {
            name: [epoch.get(column) for epoch in epochs]
            for name, column in (("training", metric), ("validation", f"val_{metric}"))
            if any(column in epoch for epoch in epochs)
        }
        name = metric.replace("_", " ")
        if series:
            yield draw_lines(
                f"{name.capitalize()} by epoch", numbers, series, x="epoch", y=name, x_kind="count"
            )


def _read_history(run: Run) -> list[dict[str, float]]:
    """Return the epochs; none if the file is missing or cannot be read."""
    try:
        with run.folder.open(HISTORY) as stream:
            content = stream.read(_MAX_BYTES)
    except (OSError, ShardmillError):
        return []
    return [epoch for epoch in decode_history(content) if "epoch" in epoch]
