"""Tests of the suggestion of a learning rate."""

from __future__ import annotations

import csv

import pytest

from trainers.learning_rate.curve import LearningRateCurve, smooth, suggest

RATES = [10.0 ** (place / 10 - 7) for place in range(80)]


def test_smooth_equal_losses_stay_equal() -> None:
    assert smooth([2.5] * 5) == pytest.approx([2.5] * 5)


def test_suggest_rate_is_within_the_longest_fall() -> None:
    # Flat until 1e-4, a fall to 1e-1, then a rise.
    losses = (
        [2.0] * 30 + [2.0 - 0.05 * step for step in range(31)] + [0.5 + step for step in range(19)]
    )
    found = suggest(RATES, losses)
    assert found is not None
    assert 1e-4 < found < 1e-1


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 1.0, 2.0, 3.0]])
def test_suggest_loss_that_never_falls_has_no_suggestion(losses: list[float]) -> None:
    assert suggest(RATES[: len(losses)], losses) is None


def test_learning_rate_curve_shows_the_suggestion_and_is_a_table() -> None:
    curve = LearningRateCurve(
        "cnn", "scratch", "adam", (0.1, 0.2), (3.0, 1.0), (3.0, 2.0), 0.2, 0.5
    )
    assert "--learning-rate 0.2" in repr(curve)
    rows = [*csv.DictReader(curve.to_csv().decode().splitlines())]
    assert [float(row["smoothed_loss"]) for row in rows] == [3.0, 2.0]
