"""Scores of a validation, counted in bins: threshold of rejection, classes never predicted."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from trainers.tasks.classification import Classification, softmax
from trainers.tasks.confidence import Confidence
from trainers.tasks.thresholds import score_that_keeps


def count(logits: np.ndarray, labels: np.ndarray) -> Confidence:
    metric = Confidence(logits.shape[1])
    with metric.counting():
        for start in range(0, len(labels), 16):
            batch = slice(start, start + 16)
            metric.update_state(keras.ops.array(labels[batch]), keras.ops.array(logits[batch]))
        assert float(metric.result()) == len(labels)
    return metric


@pytest.mark.parametrize(("seed", "scale"), [(0, 0.1), (1, 1), (2, 5), (3, 40), (4, 1e4)])
def test_threshold_is_reached_by_95_percent_of_the_images_and_hardly_more(
    seed: int, scale: float
) -> None:
    random = np.random.default_rng(seed)
    images, classes = 200, 2 + seed
    logits = random.normal(0, scale, (images, classes)).astype(np.float32)
    labels = random.integers(0, classes, images)
    threshold = count(logits, labels).findings().reject_below
    assert threshold is not None
    best = Classification().outputs(logits).max(axis=1)
    assert (best >= threshold).mean() >= 0.95
    fifth = np.sort(best)[images // 20]  # the highest score that 95 % reach
    assert threshold <= fifth
    assert fifth - threshold < 0.009


def test_never_predicted_are_the_classes_that_images_have_and_no_image_is_predicted_as() -> None:
    labels = np.array([0, 1, 2, 2, 4])
    predicted = np.array([0, 0, 2, 0, 3])
    metric = count(np.eye(6, dtype=np.float32)[predicted], labels)
    assert metric.findings().never_predicted == (1, 4)


def test_one_class_has_the_score_1_and_is_never_rejected() -> None:
    found = count(np.zeros((20, 1), np.float32), np.zeros(20, np.int64)).findings()
    assert found.never_predicted == ()
    assert found.reject_below is not None
    assert softmax(np.zeros((1, 1)))[0, 0] >= found.reject_below


def test_training_is_not_counted() -> None:
    metric = Confidence(3)
    metric.update_state(np.zeros(4, np.int64), np.ones((4, 3), np.float32))
    assert not np.asarray(metric.scores).any()
    assert metric.findings().reject_below is None


def test_score_that_keeps_a_share_of_few_images_keeps_at_least_this_share() -> None:
    scores = np.array([0.9, 0.6, 0.3, 0.0])
    counts = np.array([18, 1, 1, 0])
    assert score_that_keeps(0.95, counts, scores) == 0.6
    assert score_that_keeps(1.0, counts, scores) == 0.3
    assert score_that_keeps(0.96, counts, scores) == 0.3
