"""Patience rule of early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.runs.history import EpochMetrics


@dataclass(frozen=True)
class EarlyStopping:
    """Ends a phase after `patience` epochs without a lower validation loss.

    If `patience` is None, no phase ends early.
    """

    patience: int | None

    def should_stop(self, epochs: Sequence[EpochMetrics]) -> bool:
        """Return whether none of the last `patience` epochs has lowered the validation loss."""
        if self.patience is None or not epochs:
            return False
        return epochs[-1].epoch - best_epoch(epochs).epoch >= self.patience

    def saved_epoch(self, epochs: Sequence[EpochMetrics]) -> EpochMetrics:
        """Return the epoch whose weights are kept: the best; without `patience`, the last."""
        return epochs[-1] if self.patience is None else best_epoch(epochs)


def best_epoch(epochs: Sequence[EpochMetrics]) -> EpochMetrics:
    """Return the epoch with the lowest validation loss; of several, the first."""
    return min(epochs, key=lambda epoch: epoch.val_loss)
