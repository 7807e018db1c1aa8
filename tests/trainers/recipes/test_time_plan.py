"""Tests of the number of epochs that a time allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.recipes.time_plan import Speed, Work, epoch_seconds, fit_steps, main_seconds

WORK = Work(epoch_steps=100, validation_steps=10, feature_images=0, head_epochs=0)


def test_epoch_seconds_counts_steps_and_validation() -> None:
    assert epoch_seconds(Speed(0, 0.5, 0), WORK) == 0.5 * (100 + 0.4 * 10)


@given(
    speed=st.builds(Speed, st.floats(0, 30), st.floats(0.001, 5), st.floats(0, 0.5)),
    available_s=st.floats(10, 10_000),
)
def test_main_seconds_planned_run_leaves_a_reserve(speed: Speed, available_s: float) -> None:
    work = WORK._replace(feature_images=500, head_epochs=3)
    main_s = main_seconds(speed, work, available_s)
    epochs = int(main_s / epoch_seconds(speed, work))
    if epochs > 0:
        whole_s = speed.setup_s + 500 * speed.feature_image_s + epochs * epoch_seconds(speed, work)
        assert whole_s <= 0.85 * available_s
    assert 1 <= fit_steps(speed, work, main_s) <= work.epoch_steps


def test_epochs_that_unfreeze_a_backbone_count_as_those_of_the_last_phase() -> None:
    speed = Speed(setup_s=0, step_s=0.1, feature_image_s=0)
    work = WORK._replace(unfreeze_epochs=2)
    taken_s = main_seconds(speed, WORK, 100) - main_seconds(speed, work, 100)
    assert taken_s == pytest.approx(2 * epoch_seconds(speed, WORK))
