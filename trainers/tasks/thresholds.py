"""Choice of the threshold of each class by F1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT = 0.5
"""The threshold of a class that no validation image has."""


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
