"""Metrics of several labels per image, against their definitions."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from trainers.evaluation.label_metrics import (
    LabelMetricsAccumulator,
    MultiLabelEvaluation,
    average_precision,
)
from trainers.evaluation.mistakes import WorstLabelMistakes

NAMES = ("a", "b", "c", "d")
THRESHOLDS = (0.5, 0.3, 0.7, 0.9)


def draw(seed: int, images: int = 50) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.random((images, 4)) < 0.3).astype(np.float32)
    labels[:, 3] = 0
    # Many equal logits, as of a network that is not trained yet.
    return np.round(random.normal(0, 1, labels.shape) + labels, 1).astype(np.float32), labels


def measure(seed: int) -> MultiLabelEvaluation:
    logits, labels = draw(seed)
    sums = LabelMetricsAccumulator(THRESHOLDS)
    for start in range(0, len(labels), 16):
        sums.add(logits[start : start + 16], labels[start : start + 16])
    return sums.summarize("test", NAMES)


def definition(scores: np.ndarray, present: np.ndarray) -> float:
    """The sum over all different scores of precision × gain of recall."""
    total, recall = 0.0, 0.0
    for score in sorted(set(scores.tolist()), reverse=True):
        chosen = scores >= score
        gained = (chosen & present).sum() / present.sum()
        total += (gained - recall) * (chosen & present).sum() / chosen.sum()
        recall = gained
    return float(total)


@pytest.mark.parametrize("seed", range(10))
def test_average_precision_equals_definition(seed: int) -> None:
    logits, labels = draw(seed)
    found = average_precision(logits[:, 0], labels[:, 0] > 0)
    assert found == pytest.approx(definition(logits[:, 0], labels[:, 0] > 0))


@pytest.mark.parametrize(
    ("scores", "present", "expected"),
    [
        ([3, 2, 1], [True, False, False], 1.0),
        ([3, 2, 1], [False, False, True], 1 / 3),
        ([1, 1, 1, 1], [True, False, False, False], 0.25),
        ([3, 2, 1], [False, False, False], None),
        ([3, 2, 1], [True, True, True], 1.0),
    ],
)
def test_average_precision_of_known_ranking(
    scores: list[float], present: list[bool], expected: float | None
) -> None:
    found = average_precision(np.array(scores, np.float32), np.array(present))
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("seed", range(3))
def test_summarize_counts_and_means_equal_definitions(seed: int) -> None:
    logits, labels = draw(seed)
    found = measure(seed)
    predicted = 1 / (1 + np.exp(-logits.astype(np.float64))) >= THRESHOLDS
    present = labels > 0
    for label, each in enumerate(found.per_class):
        counts = (
            each.true_positives, each.false_positives, each.false_negatives, each.true_negatives
        )  # fmt: skip
        guess, truth = predicted[:, label], present[:, label]
        expected = (guess & truth, guess & ~truth, ~guess & truth, ~guess & ~truth)
        assert counts == tuple(int(part.sum()) for part in expected)
        assert each.images == truth.sum()
        assert each.threshold == THRESHOLDS[label]
        if each.images:
            assert each.recall == pytest.approx(each.true_positives / each.images)
    hits = (predicted & present).sum()
    assert found.micro_f1 == pytest.approx(2 * hits / (predicted.sum() + present.sum()))
    some = found.per_class[:3]
    assert found.macro_f1 == pytest.approx(np.mean([each.f1 or 0 for each in some]))
    precisions = [each.average_precision for each in some]
    assert found.mean_average_precision == pytest.approx(np.mean(precisions))  # type: ignore[arg-type]
    assert found.binary_accuracy == pytest.approx((predicted == present).mean())
    losses = np.log1p(np.exp(-np.where(present, logits, -logits).astype(np.float64)))
    assert found.loss == pytest.approx(losses.mean(), rel=1e-5)


def test_summarize_class_without_images_has_no_average_precision() -> None:
    last = measure(1).per_class[3]
    assert (last.images, last.average_precision, last.recall) == (0, None, None)


def test_evaluation_text_has_row_per_class_and_totals() -> None:
    found = measure(1)
    lines = str(found).splitlines()
    assert lines[0].split() == ["class", "AP", "precision", "recall", "F1", "threshold", "images"]
    assert [line.split()[0] for line in lines[1:5]] == list(NAMES)
    assert f"mean average precision {found.mean_average_precision:.1%}" in lines[5]
    assert "macro F1" in repr(found)
    assert msgspec.json.decode(msgspec.json.encode(found), type=MultiLabelEvaluation) == found


def test_worst_label_mistakes_are_furthest_from_right() -> None:
    logits, labels = draw(4)
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    keys = np.array([b"%d" % number for number in range(len(labels))], object)
    worst = WorstLabelMistakes(5, THRESHOLDS)
    worst.add(scores[:20], labels[:20], keys[:20])
    worst.add(scores[20:], labels[20:], keys[20:])
    wrong = (scores >= THRESHOLDS) != (labels > 0)
    distances = np.sort(abs(scores - labels)[wrong])[::-1]
    found = worst.ranked()
    np.testing.assert_allclose([each.score for each in found], distances[:5])
    for each in found:
        place = int(each.key), int(each.label)
        assert wrong[place]
        assert each.predicted == (labels[place] == 0)
