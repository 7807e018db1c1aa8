"""Metrics of each epoch, and the file `history.csv`."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from records.text.csv_rows import encode_csv_row

if TYPE_CHECKING:
    from collections.abc import Sequence


class EpochMetrics(NamedTuple):
    """The result of one epoch.

    Attributes:
        epoch: the number of the epoch, from 1.
        accuracy: the accuracy on the training images, during training; None if the task has other
            metrics, which are in `extra`.
        loss: the loss on the training images, during training.
        val_accuracy: the accuracy on the validation images, after the epoch, or None.
        val_loss: the loss on the validation images, after the epoch.
        learning_rate: the learning rate of the last step.
        seconds: the duration of the epoch in seconds, including validation.
        extra: the other metrics of the task, and those of a registered model, by name; validation
            metrics are named `val_NAME`.
    """

    epoch: int
    accuracy: float | None
    loss: float
    val_accuracy: float | None
    val_loss: float
    learning_rate: float
    seconds: float
    extra: dict[str, float] = {}  # noqa: RUF012

    def __str__(self) -> str:
        shown = {**self.to_columns()}
        for name in ("epoch", "learning_rate", "seconds"):
            del shown[name]
        metrics = "".join(f"{name} {value:.3f}  " for name, value in shown.items())
        return f"{metrics}{self.seconds:.1f} s"

    def to_columns(self) -> dict[str, float]:
        """Return all metrics by the column names of `history.csv`; None has no column."""
        columns: dict[str, float] = {
            name: value
            for name, value in zip(self._fields[:-1], self[:-1], strict=True)
            if value is not None
        }
        seconds = columns.pop("seconds")
        return {**columns, **self.extra, "seconds": seconds}


def encode_history(epochs: Sequence[EpochMetrics]) -> bytes:
    """Return the content of `history.csv`, one row per epoch."""
    rows = [encode_csv_row(epochs[0].to_columns() if epochs else EpochMetrics._fields[:-1])]
    for result in epochs:
        epoch, *values = result.to_columns().values()
        rows.append(encode_csv_row([epoch, *(f"{value:.6g}" for value in values)]))
    return b"".join(rows)


def decode_history(content: bytes) -> list[dict[str, float]]:
    """Return the metrics of each epoch by their columns, from the content of `history.csv`.

    A cell that is not a number is omitted.
    """
    rows = csv.DictReader(io.StringIO(content.decode("utf-8", "replace"), newline=""))
    return [
        {
            name: value
            for name, cell in row.items()
            if name and (value := _to_float(cell)) is not None
        }
        for row in rows
    ]


def _to_float(cell: object) -> float | None:
    try:
        return float(str(cell))
    except ValueError:
        return None
