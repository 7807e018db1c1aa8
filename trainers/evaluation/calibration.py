"""Calibration: how close the confidence of predictions is to their accuracy.

Scores are calibrated if, for example, 80 % of the predictions with score 0.8 are correct. The
method is from Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (ICML
2017). The confidence of a prediction is the score of the predicted class. Predictions are put into
bins of equal width by confidence. For the expected calibration error, each image contributes the
absolute difference between the accuracy and the mean confidence of its bin; the error is the mean
over all images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15
"""The number of bins, as in the paper."""


class CalibrationBin(msgspec.Struct, frozen=True):
    """The predictions with a confidence above `low` and up to `high`.

    Attributes:
        low: the lower edge of the bin.
        high: the upper edge of the bin.
        images: the number of predictions.
        confidence: the mean confidence of the predictions; None if the bin is empty.
        accuracy: the fraction of correct predictions; None if the bin is empty.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


class Calibration(msgspec.Struct, frozen=True):
    """The deviation of confidence from accuracy.

    Attributes:
        expected_error: the expected calibration error, 0 to 1; 0 is perfect.
        bins: the bins, from the lowest confidence to the highest.
    """

    expected_error: float
    bins: tuple[CalibrationBin, ...]


def empty_bins() -> NDArray[np.float64]:
    """Return zeros, float64 (3, bins): images, sums of confidences, correct predictions."""
    return np.zeros((3, BINS))


def count_bins(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the bins of a batch; the sum over all batches gives the bins of all images.

    Args:
        scores: probabilities (images, classes).
        labels: the true classes (images,).

    Returns:
        float64 (3, bins), with the rows of `empty_bins`.
    """
    return _count(scores.max(axis=1), scores.argmax(axis=1) == labels)


def count_label_bins(scores: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the bins of a batch in which each class of each image counts as a prediction.

    The confidence is the score of the class. The prediction is correct if the image has the label.

    Args:
        scores: probabilities (images, classes).
        labels: multi-hot labels (images, classes).

    Returns:
        float64 (3, bins), with the rows of `empty_bins`.
    """
    return _count(scores.ravel(), labels.ravel() > 0.5)


def _count(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return np.stack(
        [
            np.bincount(places, weights, BINS)
            for weights in (np.ones(len(confidence)), confidence, right)
        ]
    )


def summarize_bins(bins: NDArray[np.float64]) -> Calibration:
    """Return the calibration for bins, float64 (3, bins), that contain at least one image."""
    images, confidence_sums, right = bins
    error = float(np.abs(right - confidence_sums).sum() / images.sum())
    return Calibration(error, tuple(map(_summarize_bin, range(BINS), *bins.tolist())))


def _summarize_bin(
    place: int, images: float, confidence_sum: float, right: float
) -> CalibrationBin:
    low, high = place / BINS, (place + 1) / BINS
    if not images:
        return CalibrationBin(low, high, 0, None, None)
    return CalibrationBin(low, high, int(images), confidence_sum / images, right / images)
