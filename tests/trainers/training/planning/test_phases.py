"""Steps, epochs and phases add up, whichever step a run begins with."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.input.selection import count_steps
from trainers.options import TrainOptions
from trainers.training.planning.phases import Phase, StepRange, plan_phases, split_steps


def phases(epoch_steps: int = 10, **options: object) -> tuple[Phase, ...]:
    asked = TrainOptions(**options)  # type: ignore[arg-type]
    return plan_phases(asked, epoch_steps, learning_rate=0.1, head_learning_rate=0.2)


def test_plan_phases_steps_option_replaces_epochs() -> None:
    assert phases(epochs=3) == (Phase("all", 0, 30, 0.1),)
    assert phases(epochs=3, steps=7) == (Phase("all", 0, 7, 0.1),)


def test_plan_phases_finetune_trains_head_before_base() -> None:
    assert phases(mode="transfer", epochs=2) == (Phase("head", 0, 20, 0.1),)
    assert phases(mode="finetune", epochs=2, head_epochs=3) == (
        Phase("head", 0, 30, 0.2),
        Phase("unfrozen", 30, 50, 0.1),
    )
    assert phases(mode="finetune", steps=4, head_epochs=0) == (Phase("unfrozen", 0, 4, 0.1),)


def test_plan_phases_unfreeze_epochs_are_phases_before_the_main_phase() -> None:
    found = phases(mode="finetune", epochs=2, head_epochs=1, unfreeze_epochs=2)
    assert found == (
        Phase("head", 0, 10, 0.2),
        Phase("unfrozen", 10, 20, 0.1, part=Fraction(1, 3)),
        Phase("unfrozen", 20, 30, 0.1, part=Fraction(2, 3)),
        Phase("unfrozen", 30, 50, 0.1),
    )
    first, *_, last = phases(mode="finetune", steps=4, head_epochs=0, unfreeze_epochs=1)
    assert (first.steps, last.first_step, last.end_step) == (10, 10, 14)


def test_plan_phases_restarts_divide_the_main_phase() -> None:
    asked = TrainOptions(mode="finetune", epochs=3, head_epochs=1)
    planned = plan_phases(asked, 10, learning_rate=0.1, head_learning_rate=0.2, restarts=(20, 30))
    assert [(phase.trainable, phase.first_step, phase.end_step) for phase in planned] == [
        ("head", 0, 10), ("unfrozen", 10, 20), ("unfrozen", 20, 30), ("unfrozen", 30, 40),
    ]  # fmt: skip


@pytest.mark.parametrize(("records", "steps"), [(1, 1), (31, 1), (32, 1), (33, 2), (64, 2)])
def test_count_steps_incomplete_last_batch_is_counted(records: int, steps: int) -> None:
    assert count_steps(records, 32) == steps


@pytest.mark.parametrize(
    ("first", "end", "stretches"),
    [
        (0, 30, [StepRange(0, 0, 3, 10)]),
        (4, 30, [StepRange(4, 0, 1, 6), StepRange(10, 1, 2, 10)]),
        (4, 8, [StepRange(4, 0, 1, 4)]),
        (10, 25, [StepRange(10, 1, 1, 10), StepRange(20, 2, 1, 5)]),
        (7, 25, [StepRange(7, 0, 1, 3), StepRange(10, 1, 1, 10), StepRange(20, 2, 1, 5)]),
        (5, 5, []),
    ],
)
def test_split_steps_ranges_are_partial_or_whole_epochs(
    first: int, end: int, stretches: list[StepRange]
) -> None:
    assert list(split_steps(first, end, 10)) == stretches


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 30))
def test_split_steps_ranges_cover_every_step_once(first: int, end: int, epoch_steps: int) -> None:
    covered: list[int] = []
    for step_range in split_steps(first, end, epoch_steps):
        for epoch in range(step_range.epoch, step_range.epoch + step_range.epochs):
            begin = step_range.first_step_of(epoch)
            steps = list(range(begin, begin + step_range.epoch_steps))
            assert {step // epoch_steps for step in steps} == {epoch}
            covered += steps
    assert covered == list(range(first, end))
