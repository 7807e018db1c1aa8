"""`history.csv`: a row an epoch, written anew as each ends, so that a killed run keeps it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class EpochMetrics(NamedTuple):
    """One epoch, numbered from 1; `seconds` includes validation."""

    epoch: int
    accuracy: float
    loss: float
    val_accuracy: float
    val_loss: float
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.3f}  loss {self.loss:.3f}  "
            f"val_accuracy {self.val_accuracy:.3f}  val_loss {self.val_loss:.3f}  "
            f"{self.seconds:.1f} s"
        )


def best_epoch(epochs: Sequence[EpochMetrics]) -> EpochMetrics:
    """The epoch of the lowest validation loss, the first of several."""
    return min(epochs, key=lambda result: result.val_loss)


def encode_history(epochs: Sequence[EpochMetrics]) -> bytes:
    """The file's content."""
    content = io.StringIO(newline="")
    rows = csv.writer(content)
    rows.writerow(EpochMetrics._fields)
    rows.writerows([epoch, *(f"{value:.6g}" for value in values)] for epoch, *values in epochs)
    return content.getvalue().encode()
