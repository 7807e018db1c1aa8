"""Metrics of each epoch, and the file `history.csv`."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

from records.errors import CorruptDataError
from records.text.csv_rows import encode_csv_row
from records.text.formatting import pluralize
from trainers.runs.run_dir import HISTORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainers.runs.run_dir import Run

_MOST_BYTES = 64 << 20
"""The largest `history.csv` that is read: more than 100,000 epochs."""
_HINT = "`shardmill train DATASET RUN --resume` writes it again at the end of the next epoch"


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

    @classmethod
    def combine(
        cls,
        training: Mapping[str, float],
        validation: Mapping[str, float],
        *,
        epoch: int,
        learning_rate: float,
        seconds: float,
    ) -> EpochMetrics:
        """Return the result of an epoch from the metrics of training and of validation, by name."""
        own = {"loss", "accuracy"}
        return cls(
            epoch=epoch,
            accuracy=training.get("accuracy"),
            loss=training["loss"],
            val_accuracy=validation.get("accuracy"),
            val_loss=validation["loss"],
            learning_rate=learning_rate,
            seconds=seconds,
            extra={name: value for name, value in training.items() if name not in own}
            | {f"val_{name}": value for name, value in validation.items() if name not in own},
        )

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


def read_history(run: Run) -> list[EpochMetrics]:
    """Return the results of the completed epochs of a run, at least one.

    Raises:
        CorruptDataError: `history.csv` is missing, damaged, or was changed after the run ended.
        StorageError: storage failed.
    """
    path = run.describe(HISTORY)
    found = run.folder.stat(HISTORY)
    if found is None or found.size_bytes > _MOST_BYTES:
        got = "no file" if found is None else pluralize(found.size_bytes, "byte")
        raise CorruptDataError("not the history of a run", path=path, got=got, hint=_HINT)
    if run.is_finished:
        content = run.read(HISTORY, hint=_HINT)
    else:  # the digest is recorded when the run ends
        with run.folder.open(HISTORY) as stream:
            content = stream.read()
    try:
        epochs = [*map(_decode_row, csv.DictReader(content.decode().splitlines()))]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise CorruptDataError(
            "not the history of a run", path=path, got=str(error), hint=_HINT
        ) from error
    if not epochs:
        raise CorruptDataError("the history of a run is empty", path=path, hint=_HINT)
    return epochs


def _decode_row(row: dict[str, str]) -> EpochMetrics:
    values = {name: float(text) for name, text in row.items()}
    known = EpochMetrics._fields[:-1]
    extra = {name: value for name, value in values.items() if name not in known}
    own = {name: values.get(name) for name in ("accuracy", "val_accuracy")}
    return EpochMetrics(
        epoch=int(values["epoch"]),
        accuracy=own["accuracy"],
        loss=values["loss"],
        val_accuracy=own["val_accuracy"],
        val_loss=values["val_loss"],
        learning_rate=values["learning_rate"],
        seconds=values["seconds"],
        extra=extra,
    )
