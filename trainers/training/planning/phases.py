"""Phases of a run, and ranges of steps within them.

Steps are counted from 0 over all phases, so the position of a run is one number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainers.options import TrainOptions

Trainable = Literal["all", "head", "unfrozen"]


@dataclass(frozen=True)
class Phase:
    """A part of a run in which the same layers train, with one learning rate or schedule.

    Args:
        trainable: the layers that train: `all`; `head`, on a frozen backbone; or `unfrozen`, the
            head and the layers of the backbone that `--unfreeze` selects.
        first_step: the first step of the phase, at the start of an epoch unless the phase restarts
            the schedule of an extended run.
        end_step: the first step after the phase.
        learning_rate: the learning rate; with a schedule, the highest learning rate.
        knots: the changes of the end of the phase, each a step since its first step and the place
            in the schedule at this step; from there on, the rest of the schedule takes fewer steps.
        planned_steps: the number of steps of the schedule; None means that of the phase, whose end
            has not changed.
        part: the part of the groups of layers that `--unfreeze` selects that trains, from the last
            group on, if `trainable` is `unfrozen`.
    """

    trainable: Trainable
    first_step: int
    end_step: int
    learning_rate: float
    knots: tuple[tuple[int, float], ...] = ()
    planned_steps: int | None = None
    part: Fraction = Fraction(1)

    @property
    def steps(self) -> int:
        """Return the number of steps."""
        return self.end_step - self.first_step

    @property
    def schedule_steps(self) -> int:
        """Return the number of steps of the schedule as it was planned."""
        return self.steps if self.planned_steps is None else self.planned_steps

    @property
    def segments(self) -> tuple[tuple[tuple[int, float], tuple[int, float]], ...]:
        """Return pairs of (step since the first step, place in the schedule), linear in between."""
        first, last = (0, 0.0), (self.steps, float(self.schedule_steps))
        return tuple(pairwise((first, *self.knots, last)))

    def shortened(self, step: int, end_step: int) -> Phase:
        """Return the phase with an earlier end; its schedule still reaches its end.

        Args:
            step: the step at which the end changes.
            end_step: the first step after the phase, larger than `step`.
        """
        now = step - self.first_step
        place = sum(_cover(segment, now) for segment in self.segments)
        return replace(
            self,
            end_step=end_step,
            knots=(*self.knots, (now, place)),
            planned_steps=self.schedule_steps,
        )


def _cover(segment: tuple[tuple[int, float], tuple[int, float]], step: int) -> float:
    """Return the part of the schedule that a segment has covered at a step."""
    (first, start), (last, end) = segment
    return (end - start) * min(max((step - first) / max(last - first, 1), 0), 1)


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
    options: TrainOptions,
    epoch_steps: int,
    *,
    learning_rate: float,
    head_learning_rate: float,
    restarts: Sequence[int] = (),
) -> tuple[Phase, ...]:
    """Return the phases of a run with `epoch_steps` steps per epoch.

    Args:
        options: the options of the run.
        epoch_steps: the number of steps per epoch.
        learning_rate: the learning rate of the main phase, and of the phases of one epoch each
            that unfreeze the backbone before it.
        head_learning_rate: the learning rate of a head phase before them.
        restarts: the steps at which the main phase ended before the run was extended: there, a new
            phase begins, and with it the schedule.
    """
    steps = options.steps or options.epochs * epoch_steps
    is_finetune = options.mode == "finetune"
    head_steps = options.head_epochs * epoch_steps if is_finetune else 0
    head = (Phase("head", 0, head_steps, head_learning_rate),) * (head_steps > 0)
    parts = options.unfreeze_epochs + 1 if is_finetune else 1
    first_steps = [head_steps + number * epoch_steps for number in range(parts)]
    gradual = (
        Phase("unfrozen", *bound, learning_rate, part=Fraction(number, parts))
        for number, bound in enumerate(pairwise(first_steps), 1)
    )
    trainable: dict[str, Trainable] = {"scratch": "all", "transfer": "head", "finetune": "unfrozen"}
    main_step = first_steps[-1]
    bounds = pairwise((main_step, *restarts, main_step + steps))
    main = (Phase(trainable[options.mode], *bound, learning_rate) for bound in bounds)
    return (*head, *gradual, *main)


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
