"""Choice of thresholds: of each class by F1, and of rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT = 0.5
"""The threshold of a class that no validation image has."""
_ROUNDING = 1e-9


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the probability of each logit, float64. No logit overflows."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64))))


def best_bins(
    absent: NDArray[np.int64], present: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return, for each class, the bin whose lower edge is the threshold with the highest F1.

    Of several such bins, the bin is chosen whose edge is closest to `DEFAULT`; for a class that no
    image has, the bin that is closest to it.

    Args:
        absent: the number of images without the label in each bin, (classes, bins).
        present: the number of images with the label in each bin, (classes, bins).
        scores: the lower edge of each bin, (bins,), the highest first.
    """
    found = present.cumsum(axis=1)
    predicted = found + absent.cumsum(axis=1)
    images = found[:, -1:]
    f1 = 2 * found / np.maximum(images + predicted, 1)
    distances = np.abs(scores - DEFAULT)
    is_best = f1 == f1.max(axis=1, keepdims=True)
    return np.asarray(np.where(is_best, distances, np.inf).argmin(axis=1))


def score_that_keeps(
    share: float, counts: NDArray[np.int64], scores: NDArray[np.float64]
) -> float | None:
    """Return the highest score that at least this share of the images reaches; None without images.

    Args:
        share: the share of the images, 0 to 1.
        counts: the number of images in each bin, (bins,), the highest scores first.
        scores: the lower edge of each bin, (bins,).
    """
    reached = counts.cumsum()
    if not reached[-1]:
        return None
    needed = np.ceil(share * reached[-1] - _ROUNDING)
    return float(scores[np.searchsorted(reached, needed)])
