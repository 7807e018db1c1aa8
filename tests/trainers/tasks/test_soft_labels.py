"""Losses and metrics of mixed labels, compared with their definitions."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from records.errors import UsageError
from trainers.tasks import ClassCounts, find_task
from trainers.tasks.class_weights import check_class_weights, weigh_classes

TASK = find_task("classification")


def draw(seed: int, images: int = 20, classes: int = 4) -> tuple[np.ndarray, ...]:
    """Return logits, and the labels of two images with their shares."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (images, classes)).astype(np.float32)
    first, second = random.integers(0, classes, (2, images))
    return logits, first, second, random.random((images, 1)).astype(np.float32)


def one_hot(labels: np.ndarray, classes: int = 4) -> np.ndarray:
    return np.asarray(np.eye(classes, dtype=np.float32)[labels])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_mixed_labels_is_mixed_loss_of_labels(smoothing: float) -> None:
    logits, first, second, share = draw(1)
    weights = np.array([0.5, 1, 2, 4], np.float32)
    mixed = share * one_hot(first) + (1 - share) * one_hot(second)
    hard = TASK.loss(smoothing or 1e-9, None)
    losses = [np.asarray(hard(labels, logits)) for labels in (first, second)]
    expected = share[:, 0] * losses[0] + (1 - share[:, 0]) * losses[1]
    soft = TASK.loss(smoothing, None, soft=True)
    np.testing.assert_allclose(np.asarray(soft(mixed, logits)), expected, rtol=1e-4)
    weighted = (
        share[:, 0] * weights[first] * losses[0] + (1 - share[:, 0]) * weights[second] * losses[1]
    )
    np.testing.assert_allclose(np.asarray(soft(mixed * weights, logits)), weighted, rtol=1e-4)


def test_accuracy_of_mixed_labels_is_mixed_accuracy_of_labels() -> None:
    logits, first, second, share = draw(2)
    (soft,), (hard,) = TASK.metrics(soft=True), TASK.metrics()
    assert soft.name == hard.name
    for labels, weights in ((first, share), (second, 1 - share)):
        hard.update_state(labels, logits, sample_weight=weights[:, 0])
    mixed = share * one_hot(first) + (1 - share) * one_hot(second)
    soft.update_state(mixed, logits)
    assert float(soft.result()) == pytest.approx(float(hard.result()), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_weighted_loss_of_several_mixed_labels_is_mixed_loss_of_labels(smoothing: float) -> None:
    logits, first, second, share = draw(3)
    labels = [(one_hot(each) + one_hot(first) > 0).astype(np.float32) for each in (first, second)]
    weights = np.array([[1, 1, 0.5, 2], [3, 1, 2, 0.25]])
    loss = find_task("multi-label").loss(smoothing, weights, soft=True)
    apart = [np.asarray(loss(each, logits)) for each in labels]
    mixed = np.asarray(loss(share * labels[0] + (1 - share) * labels[1], logits))
    expected = share[:, 0] * apart[0] + (1 - share[:, 0]) * apart[1]
    np.testing.assert_allclose(mixed, expected, rtol=1e-4)


def test_weights_by_name_have_one_for_classes_that_are_missing() -> None:
    labels = ("disc", "square", "star")

    def count() -> ClassCounts:
        return ClassCounts(10, (5, 4, 1))

    named = weigh_classes({"star": 3.0}, labels, TASK, count)
    assert named is not None
    assert named.tolist() == [[1, 1, 1], [1, 1, 3]]
    assert weigh_classes("none", labels, TASK, count) is None
    balanced = weigh_classes("balanced", labels, TASK, count)
    assert balanced is not None
    np.testing.assert_allclose(balanced[1] * (5, 4, 1), 10 / 3)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"stars": 2.0}, "no class of this name, expected one of its 2 classes, got stars; did"),
        ({"disc": 0.0, "star": 0.0}, "the weights of all classes are 0"),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_refused(
    weights: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_class_weights(weights, ("disc", "star"))


def test_gradient_of_weighted_labels_is_that_of_the_definition() -> None:
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradients of TensorFlow")
    logits, first, _, _ = draw(4)
    labels = 3 * one_hot(first)
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(TASK.loss(0, None, soft=True)(tf.constant(labels), variable))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = 3 * (scores - one_hot(first))
    np.testing.assert_allclose(np.asarray(tape.gradient(loss, variable)), expected, atol=1e-4)
