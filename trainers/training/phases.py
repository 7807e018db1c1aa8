"""Phases of a run, and ranges of steps within them.

Steps are counted from 0 over all phases, so the position of a run is one number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainers.options import TrainOptions

Trainable = Literal["all", "head", "unfrozen"]


@dataclass(frozen=True)
class Phase:
    """A part of a run in which the same layers train, with one learning rate or schedule.

    Args:
        trainable: the layers that train: `all`; `head`, on a frozen backbone; or `unfrozen`, the
            head and the layers of the backbone that `--unfreeze` selects.
        first_step: the first step of the phase, at the start of an epoch.
        end_step: the first step after the phase.
        learning_rate: the learning rate; with a schedule, the highest learning rate.
    """

    trainable: Trainable
    first_step: int
    end_step: int
    learning_rate: float


@dataclass(frozen=True)
class StepRange:
    """The steps of one call of Keras fit: complete epochs, or a part of one epoch.

    Args:
        first_step: the first step of the range.
        epoch: the epoch of the first step, from 0.
        epochs: the number of epochs; 1 for a part of an epoch.
        epoch_steps: the number of steps per epoch, or in the part of an epoch.
    """

    first_step: int
    epoch: int
    epochs: int
    epoch_steps: int

    def first_step_of(self, epoch: int) -> int:
        """Return the first step of an epoch of the range."""
        return self.first_step + (epoch - self.epoch) * self.epoch_steps


def plan_phases(
    options: TrainOptions, epoch_steps: int, *, learning_rate: float, head_learning_rate: float
) -> tuple[Phase, ...]:
    """Return the phases of a run with `epoch_steps` steps per epoch."""
    steps = options.steps or options.epochs * epoch_steps
    if options.mode == "scratch":
        return (Phase("all", 0, steps, learning_rate),)
    if options.mode == "transfer":
        return (Phase("head", 0, steps, learning_rate),)
    head_steps = options.head_epochs * epoch_steps
    head = (Phase("head", 0, head_steps, head_learning_rate),) * (head_steps > 0)
    return (*head, Phase("unfrozen", head_steps, head_steps + steps, learning_rate))


def split_steps(first_step: int, end_step: int, epoch_steps: int) -> Iterator[StepRange]:
    """Yield up to three ranges: the rest of an epoch, complete epochs, the start of an epoch."""
    step = first_step
    while step < end_step:
        epoch, into_epoch = divmod(step, epoch_steps)
        whole_epochs = (end_step - step) // epoch_steps
        if into_epoch or not whole_epochs:
            size = min(epoch_steps - into_epoch, end_step - step)
            yield StepRange(step, epoch, 1, size)
            step += size
        else:
            yield StepRange(step, epoch, whole_epochs, epoch_steps)
            step += whole_epochs * epoch_steps
