"""The patience rule of early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.runs.history import EpochMetrics


@dataclass(frozen=True)
class EarlyStopping:
    """Ends training after `patience` epochs without a lower validation loss; never if None."""

    patience: int | None

    def should_stop(self, epochs: Sequence[EpochMetrics]) -> bool:
        """Return whether the last epochs of a phase have not lowered the validation loss."""
        if self.patience is None or not epochs:
            return False
        return epochs[-1].epoch - best_epoch(epochs).epoch >= self.patience

    def saved_epoch(self, epochs: Sequence[EpochMetrics]) -> EpochMetrics:
        """Return the epoch whose weights the run keeps: the best, or without patience the last."""
        return epochs[-1] if self.patience is None else best_epoch(epochs)


def best_epoch(epochs: Sequence[EpochMetrics]) -> EpochMetrics:
    """Return the epoch of the lowest validation loss, the first of several."""
    return min(epochs, key=lambda epoch: epoch.val_loss)
