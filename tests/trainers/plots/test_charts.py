"""Pictures are drawn for every name and number there can be; what they look like is for eyes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from trainers.config import Target
from trainers.evaluation.metrics import Evaluation, MetricsAccumulator
from trainers.evaluation.mistakes import Mistake, ValueMistake
from trainers.evaluation.value_metrics import RegressionEvaluation, ValueMetricsAccumulator
from trainers.plots.charts import (
    GRID_IMAGES,
    plot_calibration,
    plot_confusion,
    plot_curves,
    plot_mistakes,
    plot_predictions,
    plot_scatter,
)
from trainers.prediction.result import ClassScore, FilePrediction
from trainers.runs.history import EpochMetrics

NAMES = ("$x_{ b$", "a\x1b[31mred", "猫", "long " * 20, r"\frac", "%s {0}", "_", "é")


def size_of(png: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image.size


def make_epoch(number: int, value: float = 0.5) -> EpochMetrics:
    return EpochMetrics(number, value, value, value, value, 1e-3, 1.0)


def make_prediction(number: int, label: int) -> FilePrediction:
    pixels = np.full((8, 6, 3), number, np.uint8)
    best = ClassScore(NAMES[label], label, 0.5)
    return FilePrediction((best,), pixels=pixels, path=f"new/{number} $x_$.png")


@pytest.mark.parametrize("epochs", [1, 3, 200])
def test_plot_curves_any_epoch_count_is_drawn(epochs: int) -> None:
    png = plot_curves([make_epoch(number) for number in range(1, epochs + 1)])
    assert size_of(png)[0] > 800


def test_plot_curves_extreme_values_are_drawn() -> None:
    for value in (0.0, 1e9):
        size_of(plot_curves([make_epoch(1, value)]))


def test_plot_curves_same_metrics_give_same_bytes() -> None:
    assert plot_curves([make_epoch(1)]) == plot_curves([make_epoch(1)])
    assert plot_curves([make_epoch(1)]) != plot_curves([make_epoch(1, 0.6)])


def make_evaluation(labels: tuple[str, ...], mistakes: int = 0) -> Evaluation:
    random = np.random.default_rng(0)
    tally = MetricsAccumulator(len(labels))
    tally.add(random.normal(0, 3, (500, len(labels))), random.integers(0, len(labels), 500))
    named = tuple(
        Mistake(
            f"a {number}/$x_$.png",
            "test-00000-of-00001.tfrecord",
            number,
            labels[0],
            labels[1],
            0.9,
        )
        for number in range(mistakes)
    )
    return tally.summarize("test", labels, named)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, len(NAMES), 40, 300, 1001])
def test_plot_confusion_any_class_count_stays_within_size(classes: int) -> None:
    labels = tuple(f"{NAMES[number % len(NAMES)]} {number}" for number in range(classes))
    width, height = size_of(plot_confusion(make_evaluation(labels), labels))
    assert max(width, height) < 3500


def test_plot_calibration_full_or_sparse_bins_are_drawn() -> None:
    assert size_of(plot_calibration(make_evaluation(NAMES)))[0] > 400
    right = MetricsAccumulator(2)
    right.add(np.array([[9.0, 0.0]]), np.array([0]))
    size_of(plot_calibration(right.summarize("test", "ab")))


@pytest.mark.parametrize("mistakes", [1, 7])
def test_plot_mistakes_any_count_stays_within_width(mistakes: int) -> None:
    images = np.zeros((mistakes, 8, 6, 1), np.uint8)
    width, _ = size_of(plot_mistakes(make_evaluation(NAMES, mistakes), images))
    assert 150 < width < 1000


@pytest.mark.parametrize("images", [1, 5, GRID_IMAGES + 5])
def test_plot_predictions_any_count_stays_within_size(images: int) -> None:
    predictions = [make_prediction(number, number % len(NAMES)) for number in range(images)]
    width, height = size_of(plot_predictions(predictions))
    assert width < 3000
    assert height < 4000


def test_plot_predictions_grey_image_is_drawn_grey() -> None:
    pixels = np.full((8, 8, 1), 100, np.uint8)
    prediction = FilePrediction((ClassScore("a", 0, 1.0),), pixels=pixels, path="a.png")
    image = Image.open(io.BytesIO(plot_predictions([prediction]))).convert("RGB")
    assert image.getpixel((image.width // 2, image.height // 2)) == (100, 100, 100)


def measure(name: str, true: list[float], predicted: list[float]) -> RegressionEvaluation:
    metrics = ValueMetricsAccumulator(Target(name, 0.0, 1.0))
    metrics.add(np.array(predicted), np.array(true))
    mistake = ValueMistake(f"{name}.png", "train-00000-of-00001.tfrecord", 0, 1e9, -1e-9, 1e9)
    return metrics.summarize("test", (mistake,))


@pytest.mark.parametrize("name", NAMES)
def test_plot_scatter_any_name_is_drawn(name: str) -> None:
    assert min(size_of(plot_scatter(measure(name, [1, 2, 3], [1, 3, 2])))) > 400


@pytest.mark.parametrize(
    ("true", "predicted"),
    [([5], [5]), ([0] * 3, [0] * 3), ([-1e30, 1e30], [0, 1e-30]), (range(3000), range(3000))],
)
def test_plot_scatter_any_values_are_drawn(true: list[float], predicted: list[float]) -> None:
    assert max(size_of(plot_scatter(measure("v", list(true), list(predicted))))) < 800


def test_plot_mistakes_and_predictions_of_a_number_are_drawn() -> None:
    pixels = np.zeros((8, 6, 3), np.uint8)
    assert size_of(plot_mistakes(measure("$v", [1], [2]), [pixels]))[0] > 100
    predictions = [FilePrediction(pixels=pixels, path="a.png", value=value) for value in (0, -1e9)]
    assert size_of(plot_predictions(predictions))[0] > 100


def test_plot_curves_of_negative_r2_are_drawn() -> None:
    extra = {"r2": -3.0, "val_r2": 0.5}
    epochs = [EpochMetrics(number, None, 1.0, None, 1.0, 1e-3, 1.0, extra) for number in (1, 2)]
    assert size_of(plot_curves(epochs, ("r2", "loss")))[0] > 800
