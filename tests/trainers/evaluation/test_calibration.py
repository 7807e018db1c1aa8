"""Calibration, against the definition in the paper, written as a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.evaluation.calibration import (
    BINS,
    count_bins,
    count_label_bins,
    empty_bins,
    summarize_bins,
)

confidences = st.one_of(
    st.floats(0.5, 1), st.integers(8, BINS).map(lambda edge: edge / BINS), st.just(1 + 1e-12)
)


def scores_of(confidence: list[float]) -> np.ndarray:
    """Scores of two classes, the first one the higher."""
    return np.stack([confidence, 1 - np.array(confidence)], axis=1)


@given(st.lists(st.tuples(confidences, st.booleans()), min_size=1, max_size=50))
def test_calibration_error_equals_published_definition(cases: list[tuple[float, bool]]) -> None:
    confidence = np.array([each for each, _ in cases])
    right = np.array([each for _, each in cases])
    expected = 0.0
    for low in range(BINS):
        inside = (np.ceil(np.minimum(confidence, 1) * BINS) - 1) == low
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    bins = empty_bins()
    for confidence_part, right_part in zip(
        np.array_split(confidence, 2), np.array_split(right, 2), strict=True
    ):
        if len(confidence_part):
            bins += count_bins(scores_of(list(confidence_part)), (~right_part).astype(np.int64))
    calibration = summarize_bins(bins)
    assert calibration.expected_error == pytest.approx(expected)
    assert sum(each.images for each in calibration.bins) == len(cases)


def test_calibration_bins_include_upper_edge_and_report_contents() -> None:
    bins = summarize_bins(count_bins(scores_of([0.6, 0.6, 0.61, 1.0]), np.array([0, 1, 0, 0])))
    assert len(bins.bins) == BINS
    up_to_60 = bins.bins[8]
    assert (up_to_60.low, up_to_60.high, up_to_60.images) == (8 / 15, 9 / 15, 2)
    assert (up_to_60.confidence, up_to_60.accuracy) == (0.6, 0.5)
    assert (bins.bins[9].images, bins.bins[14].images, bins.bins[14].accuracy) == (1, 1, 1.0)
    assert (bins.bins[0].images, bins.bins[0].confidence, bins.bins[0].accuracy) == (0, None, None)


def test_calibration_error_of_calibrated_model_is_zero() -> None:
    labels = np.array([0, 0, 0, 1])
    assert summarize_bins(count_bins(scores_of([0.75] * 4), labels)).expected_error == 0


def test_calibration_of_labels_counts_each_class_of_each_image() -> None:
    scores = np.array([[0.5, 0.1], [0.5, 0.9]])
    labels = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = summarize_bins(count_label_bins(scores, labels))
    assert {
        (each.images, each.confidence, each.accuracy) for each in found.bins if each.images
    } == {(1, 0.1, 0.0), (2, 0.5, 0.5), (1, 0.9, 1.0)}
    assert found.expected_error == pytest.approx(0.05)
