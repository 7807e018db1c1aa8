"""Tests of runs that must end in time, with made-up clocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.time_limit import EndsEarlier, TimeLimit
from trainers.training.planning.phases import Phase

EPOCH_STEPS, VALIDATION_STEPS = 20, 4


def simulate(
    limit_s: float | None, step_s: float, validation_s: float, epochs: int, final_steps: int = 0
) -> Phase:
    """Train a phase on a clock, and return it as it ended; the seconds are in its rate."""
    phase = Phase("all", 0, epochs * EPOCH_STEPS, 0.1)
    limit = TimeLimit(limit_s, EPOCH_STEPS, VALIDATION_STEPS, final_steps)
    ends: list[tuple[int, int, int]] = []
    now_s, step = 5.0, 0  # the first step takes longer
    while step < phase.end_step:
        try:
            limit.check(phase, step, now_s)
        except EndsEarlier as earlier:
            ends.append((step, earlier.end_step, phase.end_step))
            phase = phase.shortened(step, earlier.end_step)
            limit.restart()
            continue
        step, now_s = step + 1, now_s + step_s
        if step % EPOCH_STEPS == 0 or step == phase.end_step:
            now_s += validation_s
            limit.end_epoch(validation_s)
    assert all(at < end < planned for at, end, planned in ends)
    now_s += final_steps / VALIDATION_STEPS * validation_s
    return Phase(phase.trainable, 0, phase.end_step, now_s)


@pytest.mark.parametrize("limit_s", [None, 1000.0])
def test_time_limit_run_with_enough_time_is_not_changed(limit_s: float | None) -> None:
    assert simulate(limit_s, 1.0, 2.0, 10).end_step == 200


@given(
    step_s=st.floats(0.01, 2), validation_share=st.floats(0.1, 1), epochs=st.integers(1, 30),
    share=st.floats(0.2, 2), final_steps=st.sampled_from([0, EPOCH_STEPS + VALIDATION_STEPS]),
)  # fmt: skip
def test_time_limit_slow_run_ends_in_time_and_uses_the_time(
    step_s: float, validation_share: float, epochs: int, share: float, final_steps: int
) -> None:
    validation_s = validation_share * step_s * VALIDATION_STEPS
    final_s = final_steps * validation_share * step_s
    planned_s = 5 + epochs * (EPOCH_STEPS * step_s + validation_s) + final_s
    limit_s = max(share * planned_s, 5 + 20 * step_s + 2 * validation_s + final_s)
    ended = simulate(limit_s, step_s, validation_s, epochs, final_steps)
    took_s = ended.learning_rate
    assert took_s <= 1.03 * limit_s + validation_s
    if ended.end_step < epochs * EPOCH_STEPS:
        assert took_s >= 0.75 * limit_s - 5 - 2 * validation_s - 2 * step_s
