"""Calibration: how close scores are to probabilities.

Scores are calibrated if 80 % of the predictions with score 0.8 are correct. The method is that of
Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017): predictions
are put into bins of equal width by their confidence, the score of the predicted class; the expected
calibration error is the mean over images of how far a bin's accuracy deviates from its mean
confidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15
"""As in the paper."""


class CalibrationBin(msgspec.Struct, frozen=True):
    """The predictions with a confidence above `low`, up to `high`.

    Args:
        low: the bin's lower edge.
        high: its upper edge.
        images: number of predictions.
        confidence: their mean confidence; None if there are none.
        accuracy: the fraction that is correct; None if there are none.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


class Calibration(msgspec.Struct, frozen=True):
    """The deviation of scores from probabilities.

    Args:
        expected_error: the expected calibration error, 0 to 1; 0 is perfect.
        bins: from the lowest confidence to the highest.
    """

    expected_error: float
    bins: tuple[CalibrationBin, ...]


def empty_bins() -> NDArray[np.float64]:
    """Return zeros, float64 (3, bins): images, sum of confidences, correct predictions."""
    return np.zeros((3, BINS))


def count_bins(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the bins of a batch, to add to those of other batches.

    Args:
        scores: probabilities (images, classes).
        labels: the true classes (images,).

    Returns:
        float64 (3, bins), as `empty_bins`.
    """
    confidence = scores.max(axis=1)
    right = scores.argmax(axis=1) == labels
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return np.stack(
        [
            np.bincount(places, weights, BINS)
            for weights in (np.ones(len(labels)), confidence, right)
        ]
    )


def summarize_bins(bins: NDArray[np.float64]) -> Calibration:
    """Return the calibration of at least one image, from bins (3, bins)."""
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
