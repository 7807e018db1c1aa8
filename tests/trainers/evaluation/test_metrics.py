"""Figures of a classification, against definitions written another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.evaluation.metrics import (
    MetricsAccumulator,
    count_top,
    log_softmax,
    softmax,
    sum_loss,
)

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(pairs)
def test_metrics_accumulator_any_predictions_match_definitions(
    cases: list[tuple[int, int]],
) -> None:
    labels = np.array([true for true, _ in cases])
    logits = np.eye(4)[[predicted for _, predicted in cases]]
    tally = MetricsAccumulator(4)
    for batch in np.array_split(np.arange(len(cases)), 3):
        if len(batch):
            tally.add(logits[batch], labels[batch])
    evaluation = tally.summarize("test", "abcd")
    assert evaluation.top_5_accuracy is None
    assert evaluation.images == len(cases)
    assert evaluation.accuracy == pytest.approx(np.mean([a == b for a, b in cases]))
    for label, figures in enumerate(evaluation.per_class):
        right = sum(case == (label, label) for case in cases)
        predicted = sum(case[1] == label for case in cases)
        assert figures.images == sum(case[0] == label for case in cases)
        assert figures.precision == (pytest.approx(right / predicted) if predicted else None)
        assert figures.recall == (pytest.approx(right / figures.images) if figures.images else None)
        if figures.precision and figures.recall:
            harmonic = 2 / (1 / figures.precision + 1 / figures.recall)
            assert figures.f1 == pytest.approx(harmonic)
        else:
            assert figures.f1 == (0 if figures.images or predicted else None)
        for other in range(4):
            assert evaluation.confusion[label][other] == cases.count((label, other))


def test_softmax_extreme_logits_sum_to_one() -> None:
    logits = np.array([[1e4, -1e4, 0], [0, 0, 0], [-1e30, 0, 1]], np.float32)
    scores = softmax(logits)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    np.testing.assert_allclose(scores[1], 1 / 3)
    assert np.isfinite(scores).all()


def test_loss_equals_mean_negative_log_likelihood() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    labels = np.array([0, 1])
    assert sum_loss(logits, labels) == pytest.approx(-np.log(0.5) - np.log(0.8))
    tally = MetricsAccumulator(3)
    tally.add(logits, labels)
    loss = tally.summarize("test", "abc").loss
    assert loss == pytest.approx((-np.log(0.5) - np.log(0.8)) / 2)
    np.testing.assert_allclose(np.exp(log_softmax(logits)).sum(axis=1), 1)


@given(st.lists(st.lists(st.integers(0, 5), min_size=7, max_size=7), min_size=1, max_size=20))
def test_top_5_accuracy_equals_accuracy_by_sorting(rows: list[list[int]]) -> None:
    logits = np.array(rows, np.float32)
    labels = np.arange(len(rows)) % 7
    # Stable: of equal logits the first class is ahead, and so is argmax's.
    highest = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    hits = sum(label in row for label, row in zip(labels, highest, strict=True))
    assert count_top(logits, labels) == hits
    tally = MetricsAccumulator(7)
    tally.add(logits, labels)
    evaluation = tally.summarize("test", "abcdefg")
    assert evaluation.top_5_accuracy == hits / len(rows) >= evaluation.accuracy
