"""Best epoch, and the patience rule of early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.options import TrainOptions
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


def best_epoch(epochs: Sequence[EpochMetrics]) -> EpochMetrics:
    """Return the epoch with the lowest validation loss; of several, the first."""
    return min(epochs, key=lambda epoch: epoch.val_loss)


def chooses_epoch(options: TrainOptions) -> bool:
    """Return whether a run chooses the best epoch, and does not simply take the last one.

    The run of a fold takes the last: its fold measures it, and would be too optimistic if it had
    also chosen the epoch. With early stopping, the user has chosen this.
    """
    return options.fold is None or options.early_stopping is not None
