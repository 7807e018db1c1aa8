"""Loss, weights, metrics and decisions of several labels per image, against their definitions."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from trainers.config import Architecture, ImageShape
from trainers.models.build import build_network
from trainers.tasks import ClassCounts, find_task
from trainers.tasks.average_precision import MeanAveragePrecision
from trainers.tasks.class_weights import balance_labels
from trainers.tasks.thresholds import best_bins

TASK = find_task("multi-label")


def draw(seed: int, images: int = 40, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits and multi-hot labels, float32 (images, classes), that belong together a little."""
    random = np.random.default_rng(seed)
    labels = (random.random((images, classes)) < 0.4).astype(np.float32)
    logits = random.normal(0, 2, labels.shape) + labels
    return logits.astype(np.float32), labels


def crossentropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return np.asarray(-(labels * np.log(scores) + (1 - labels) * np.log(1 - scores)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_mean_of_smoothed_binary_crossentropy(smoothing: float) -> None:
    logits, labels = draw(1)
    expected = crossentropy(logits, labels * (1 - smoothing) + smoothing / 2).mean()
    found = TASK.loss(smoothing, None)(keras.ops.array(labels), keras.ops.array(logits))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_balanced_weighs_images_with_and_without_each_label(smoothing: float) -> None:
    logits, labels = draw(2)
    counts = ClassCounts(len(labels), tuple(labels.sum(axis=0).astype(int).tolist()))
    losses = crossentropy(logits, labels * (1 - smoothing) + smoothing / 2)
    weights = np.where(
        labels > 0, len(labels) / 2 / labels.sum(0), len(labels) / 2 / (1 - labels).sum(0)
    )
    weights_of = balance_labels(counts)
    found = TASK.loss(smoothing, weights_of)(keras.ops.array(labels), keras.ops.array(logits))
    np.testing.assert_allclose(np.asarray(found), (losses * weights).mean(axis=1), rtol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 7, 10])
def test_balance_labels_gives_both_sides_the_same_total(count: int) -> None:
    (absent,), (present,) = balance_labels(ClassCounts(10, (count,)))
    sides = [(10 - count) * absent, count * present]
    assert sum(sides) == pytest.approx(10)
    if 0 < count < 10:
        assert sides[0] == pytest.approx(sides[1])


def test_probabilities_of_extreme_logits_equal_those_of_layer() -> None:
    logits = np.array([[-1e4, -80, -1, 0, 1, 80, 1e4]], np.float32)
    found = TASK.outputs(logits)
    np.testing.assert_allclose(found, np.asarray(TASK.output_layer()(logits)), atol=1e-7)
    np.testing.assert_allclose(found + TASK.outputs(-logits), 1)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [((0.1, 0.2, 0.3), []), ((0.4, 0.2, 0.9), [2, 0]), ((0.9, 0.9, 0.9), [0, 1, 2])],
)
def test_choose_returns_classes_at_or_above_thresholds(
    scores: tuple[float, ...], expected: list[int]
) -> None:
    assert TASK.choose(np.array(scores), (0.4, 0.5, 0.8)) == expected


def count(metric: MeanAveragePrecision, logits: np.ndarray, labels: np.ndarray) -> float:
    with metric.counting():
        for start in range(0, len(labels), 16):
            batch = slice(start, start + 16)
            metric.update_state(keras.ops.array(labels[batch]), keras.ops.array(logits[batch]))
        return float(metric.result())


def f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    return float(2 * (predicted & (labels > 0)).sum() / max(predicted.sum() + labels.sum(), 1))


@pytest.mark.parametrize("seed", range(5))
def test_validation_metric_is_mean_average_precision(seed: int) -> None:
    from trainers.evaluation.label_metrics import average_precision

    logits, labels = draw(seed)
    labels[:, 1] = 0  # a class that no image has does not count
    logits = np.round(logits * 32) / 32  # in the middle of no bin, so that rounding changes nothing
    expected = [average_precision(logits[:, label], labels[:, label] > 0) or 0 for label in (0, 2)]
    found = count(MeanAveragePrecision(3), logits, labels)
    assert found == pytest.approx(np.mean(expected), rel=1e-5)


def test_validation_metric_extreme_logits_are_counted() -> None:
    logits = np.array([[1e9], [-1e9], [-40.0]], np.float32)
    metric = MeanAveragePrecision(1)
    assert count(metric, logits, np.array([[1.0], [0.0], [0.0]], np.float32)) == 1
    assert metric.findings().thresholds == (0.5,)


def test_validation_metric_without_counting_stays_zero() -> None:
    metric = MeanAveragePrecision(3)
    logits, labels = draw(1)
    metric.update_state(labels, logits)
    assert float(metric.result()) == 0
    assert not np.asarray(metric.counts).any()


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_have_highest_f1_of_all_thresholds(seed: int) -> None:
    logits, labels = draw(seed)
    logits = np.round(logits * 32) / 32
    metric = MeanAveragePrecision(3)
    count(metric, logits, labels)
    scores = TASK.outputs(logits)
    for label, threshold in enumerate(metric.findings().thresholds):
        of_class, truth = scores[:, label], labels[:, label]
        best = max(f1(of_class >= score, truth) for score in [0, *of_class])
        assert f1(of_class >= threshold - 1e-9, truth) == pytest.approx(best)


def test_best_bins_class_without_images_has_default() -> None:
    absent, present = np.array([[3, 2, 1]]), np.zeros((1, 3), np.int64)
    assert best_bins(absent, present, np.array([0.9, 0.45, 0.1])).tolist() == [1]


@pytest.mark.parametrize("model", ["cnn", "cnn-512", "cnn-bn"])
def test_network_of_two_labels_has_independent_logits(model: str) -> None:
    shape = ImageShape(16, 16)
    network = build_network(Architecture(model, shape, classes=2, task="multi-label"))
    kernel = network.model.get_layer("logits").kernel
    assert kernel.shape[-1] == 2
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    assert np.asarray(network.model(images)).std(axis=0).min() > 0


def test_score_on_the_edge_of_a_bin_reaches_its_threshold() -> None:
    edges = np.arange(-16, 16, 5 / 32)
    metric = MeanAveragePrecision(1)
    for edge in edges[1:]:
        metric.reset_state()
        with metric.counting():
            metric.update_state(np.ones((1, 1)), np.full((1, 1), edge, np.float32))
            (threshold,) = metric.findings().thresholds
        scores = TASK.outputs(np.array([[edge]], np.float32))
        assert TASK.choose(scores[0], [threshold]) == [0]
