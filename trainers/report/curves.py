"""Training curves of a run, from `history.csv`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from records.errors import ShardmillError
from records.report.charts import draw_lines
from records.report.parts import Note, Part
from trainers.runs.history import read_history
from trainers.tasks import task_of

if TYPE_CHECKING:
    from trainers.runs.run_dir import Run


def history_parts(run: Run) -> Iterator[Part]:
    """Yield the curves of the metrics that the task of a run shows, by epoch."""
    epochs = read_epochs(run)
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


def read_epochs(run: Run) -> list[dict[str, float]]:
    """Return the metrics of the epochs; none if the file is missing or cannot be read."""
    try:
        return [epoch.to_columns() for epoch in read_history(run)]
    except (OSError, ShardmillError):
        return []
