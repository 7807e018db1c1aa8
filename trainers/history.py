"""`history.csv`: a row an epoch, written as it ends, so that a killed run keeps what it had."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class EpochResult(NamedTuple):
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


def start_history(path: Path) -> None:
    """Write the header."""
    with path.open("x", newline="") as file:
        csv.writer(file).writerow(EpochResult._fields)


def append_epoch(path: Path, result: EpochResult) -> None:
    """Add a row."""
    rounded = [value if isinstance(value, int) else f"{value:.6g}" for value in result]
    with path.open("a", newline="") as file:
        csv.writer(file).writerow(rounded)


def read_history(path: Path) -> list[EpochResult]:
    """All rows."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [EpochResult._make([int(row[0]), *map(float, row[1:])]) for row in rows]
