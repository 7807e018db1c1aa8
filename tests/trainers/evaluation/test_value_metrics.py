"""Metrics of predicted numbers, compared with their definitions."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from trainers.config import Target
from trainers.evaluation.mistakes import WorstValues
from trainers.evaluation.value_metrics import ValueMetricsAccumulator

TARGET = Target("age", 40.0, 10.0)


def summarize(true: np.ndarray, predicted: np.ndarray) -> ValueMetricsAccumulator:
    metrics = ValueMetricsAccumulator(TARGET)
    for start in range(0, len(true), 7):
        metrics.add(predicted[start : start + 7], true[start : start + 7])
    return metrics


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_batches_equal_definitions(seed: int) -> None:
    random = np.random.default_rng(seed)
    true, predicted = random.normal(40, 10, (2, 50))
    found = summarize(true, predicted).summarize("test")
    errors = predicted - true
    assert found.images == 50
    assert found.mean_squared_error == pytest.approx(np.mean(errors**2))
    assert found.root_mean_squared_error == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert found.mean_absolute_error == pytest.approx(np.mean(np.abs(errors)))
    assert found.r2 == pytest.approx(1 - np.mean(errors**2) / np.var(true))
    assert found.loss == pytest.approx(np.mean((errors / 10) ** 2))
    assert found.points == tuple(zip(true, predicted, strict=True))
    assert msgspec.json.decode(msgspec.json.encode(found))["target"] == "age"


@pytest.mark.parametrize(
    ("true", "predicted", "r2"),
    [([1, 2, 3], [1, 2, 3], 1.0), ([1, 2, 3], [2, 2, 2], 0.0), ([1, 2, 3], [3, 2, 1], -3.0),
     ([2, 2], [2, 2], None), ([2], [7], None)],
)  # fmt: skip
def test_r2_of_known_cases(true: list[float], predicted: list[float], r2: float | None) -> None:
    found = summarize(np.array(true, float), np.array(predicted, float)).summarize("test")
    assert found.r2 == r2
    assert ("–" if r2 is None else f"R² {r2:.3f}") in str(found)
    assert "age" in str(found)


@pytest.mark.parametrize("images", [1, 1999, 2000, 2001, 5000])
def test_points_are_at_most_2000_evenly_spaced(images: int) -> None:
    true = np.arange(images, dtype=float)
    points = summarize(true, true).summarize("test").points
    assert len(points) == min(images, 2000)
    assert (points[0][0], points[-1][0]) == (0, images - 1)
    steps = np.diff([value for value, _ in points])
    assert not len(steps) or steps.max() - steps.min() <= 1


def test_worst_values_are_those_furthest_from_the_truth() -> None:
    random = np.random.default_rng(1)
    true, predicted = random.normal(0, 1, (2, 40))
    keys = np.array([f"{number}".encode() for number in range(40)], object)
    worst = WorstValues(6)
    for start in range(0, 40, 9):
        part = slice(start, start + 9)
        worst.add(predicted[part, None], true[part], keys[part])
    ranked = worst.ranked()
    expected = np.argsort(-np.abs(predicted - true))[:6]
    assert [wrong.key for wrong in ranked] == [keys[number] for number in expected]
    assert [wrong.label for wrong in ranked] == [true[number] for number in expected]
