"""Patience rule of early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.runs.history import EpochMetrics


@dataclass(frozen=True)
class EarlyStopping:
    """Ends a phase after `patience` epochs without a lower validation loss; never if None."""

    patience: int | None

    def should_stop(self, epochs: Sequence[EpochMetrics]) -> bool:
        """Return whether the last `patience` epochs have not lowered the validation loss."""
        if self.patience is None or not epochs:
            return False
        return epochs[-1].epoch - best_epoch(epochs).epoch >= self.patience

    def saved_epoch(self, epochs: Sequence[EpochMetrics]) -> EpochMetrics:
        """Return the epoch whose weights are kept: with patience the best, otherwise the last."""
        return epochs[-1] if self.patience is None else best_epoch(epochs)


def best_epoch(epochs: Sequence[EpochMetrics]) -> EpochMetrics:
    """Return the epoch with the lowest validation loss; the first one if several are equal."""
    return min(epochs, key=lambda epoch: epoch.val_loss)
