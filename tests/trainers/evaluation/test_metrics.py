"""Figures of a classification, against definitions written another way."""

from __future__ import annotations

import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.evaluation.metrics import (
    Evaluation,
    MetricsAccumulator,
    count_top,
    sum_loss,
)
from trainers.tasks.classification import log_softmax, softmax

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
    assert evaluation.confusion is not None
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


def test_evaluation_prints_the_three_most_frequent_mistakes() -> None:
    confusions = {("a", "b"): 2, ("a", "a"): 9, ("b", "c"): 3, ("c", "a"): 2, ("c", "b"): 1}
    tally = MetricsAccumulator(3)
    for (true, predicted), images in confusions.items():
        logits = np.tile(10.0 * np.eye(3)["abc".index(predicted)], (images, 1))
        tally.add(logits, np.full(images, "abc".index(true)))
    text = str(tally.summarize("test", "abc"))
    assert "\nmost frequent mistakes: b as c (3), a as b (2), c as a (2)" in text
    right = MetricsAccumulator(3)
    right.add(np.eye(3), np.arange(3))
    assert "mistakes" not in str(right.summarize("test", "abc"))


def evaluate_many(classes: int, images: int) -> Evaluation:
    random = np.random.default_rng(0)
    tally = MetricsAccumulator(classes)
    for start in range(0, images, 50):
        labels = random.integers(0, classes, min(50, images - start))
        logits = np.zeros((len(labels), classes), np.float32)
        guesses = np.where(labels % 2, labels, (labels + 1) % classes)
        logits[np.arange(len(labels)), guesses] = 5
        tally.add(logits, labels)
    return tally.summarize("test", [f"class {label}" for label in range(classes)])


def test_evaluation_over_a_thousand_classes_lists_only_what_occurs() -> None:
    dense, sparse = evaluate_many(1000, 400), evaluate_many(1001, 400)
    assert (dense.confusion_cells, sparse.confusion) == (None, None)
    assert len(dense.per_class) == 1000
    assert sparse.confusion_cells is not None
    assert sum(images for *_, images in sparse.confusion_cells) == 400
    assert list(sparse.confusion_cells) == sorted(sparse.confusion_cells)
    right = sum(images for true, guess, images in sparse.confusion_cells if true == guess)
    assert sparse.accuracy == right / 400
    assert 0 < len(sparse.per_class) <= 800
    assert sum(each.images for each in sparse.per_class) == 400
    assert len(str(sparse).splitlines()) < 30
    assert "--json lists all" in str(sparse)


def test_evaluation_of_ten_thousand_classes_takes_bounded_memory_and_json() -> None:
    tracemalloc.start()
    evaluation = evaluate_many(10_000, 1_000)
    content = msgspec.json.encode(evaluation)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 60e6
    assert len(content) < 500_000
