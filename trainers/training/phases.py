"""What a training consists of: phases of steps, and the stretches of them between epochs' ends.

Steps are counted from 0 over all phases, so that one number says where a run is. All arithmetic on
them is here, and pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainers.options import TrainOptions

Trained = Literal["all", "head", "unfrozen"]


@dataclass(frozen=True)
class Phase:
    """Steps in which the same weights train at the same learning rate.

    Args:
        trained: all of a network, its head on a base that stays as it is, or the head and what
            `--unfreeze` names.
        first_step: the first of its steps, at an epoch's beginning.
        end_step: the first step that is no longer its own.
        learning_rate: the highest one, where there is a schedule.
    """

    trained: Trained
    first_step: int
    end_step: int
    learning_rate: float


@dataclass(frozen=True)
class StepRange:
    """Steps that Keras can run in one go: whole epochs, or a part of one.

    Args:
        first_step: the first of them.
        epoch: the epoch it lies in, from 0.
        epochs: how many epochs, or parts, it has.
        epoch_steps: how many steps each has.
    """

    first_step: int
    epoch: int
    epochs: int
    epoch_steps: int

    def first_step_of(self, epoch: int) -> int:
        """The first step of one of its epochs."""
        return self.first_step + (epoch - self.epoch) * self.epoch_steps


def plan_phases(
    options: TrainOptions, epoch_steps: int, *, learning_rate: float, head_learning_rate: float
) -> tuple[Phase, ...]:
    """The phases of a training whose epochs have `epoch_steps` steps."""
    steps = options.steps or options.epochs * epoch_steps
    if options.mode == "scratch":
        return (Phase("all", 0, steps, learning_rate),)
    if options.mode == "transfer":
        return (Phase("head", 0, steps, learning_rate),)
    head_steps = options.head_epochs * epoch_steps
    head = (Phase("head", 0, head_steps, head_learning_rate),) * (head_steps > 0)
    return (*head, Phase("unfrozen", head_steps, head_steps + steps, learning_rate))


def split_steps(first_step: int, end_step: int, epoch_steps: int) -> Iterator[StepRange]:
    """The stretches of some steps: the rest of an epoch, whole epochs, the beginning of one."""
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
