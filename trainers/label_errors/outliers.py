"""Images whose features are far from every class."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from records.runtime.extras import require_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FENCE = 3.0
_BLOCK_ROWS = 4096


class FarImages(NamedTuple):
    """The images that are far from every class.

    Attributes:
        limit: the distance beyond which an image is far: Tukey's outer fence, three interquartile
            ranges above the third quartile.
        rows: the numbers of the images, the farthest first, int64 (found,).
        distances: their distances, float64 (found,).
    """

    limit: float
    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


def find_outliers(features: NDArray[np.float32], labels: NDArray[np.int64]) -> FarImages:
    """Return the images that are far from the mean of the nearest class.

    The distance is that of Mahalanobis, with one covariance for all classes (K. Lee and others, "A
    Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks",
    2018), which is shrunk by the method of Ledoit and Wolf.

    Args:
        features: the features, (images, features).
        labels: the labels, (images,); every label from 0 to the highest one occurs.
    """
    covariance = require_extra("sklearn.covariance", "label-errors")
    counts = np.bincount(labels)
    means = np.zeros((len(counts), features.shape[1]))
    np.add.at(means, labels, features)
    means /= counts[:, None]
    within = covariance.LedoitWolf(assume_centered=True, store_precision=True)
    within.fit(features - means[labels])
    # With the Cholesky factor of the precision, the Mahalanobis distance is a Euclidean one.
    factor = np.linalg.cholesky(within.precision_)
    distances = _nearest(features, means, factor)
    low, high = np.percentile(distances, (25, 75))
    limit = float(high + _FENCE * (high - low))
    rows = np.flatnonzero(distances > limit)
    rows = rows[np.argsort(-distances[rows], kind="stable")]
    return FarImages(limit, rows, distances[rows])


def _nearest(
    features: NDArray[np.float32], means: NDArray[np.float64], factor: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distance of each image to the nearest mean, (images,)."""
    centers = means @ factor
    squared = np.square(centers).sum(axis=1)
    found = np.empty(len(features))
    for first in range(0, len(features), _BLOCK_ROWS):
        block = features[first : first + _BLOCK_ROWS] @ factor
        to_each = np.square(block).sum(axis=1)[:, None] - 2 * block @ centers.T + squared
        found[first : first + _BLOCK_ROWS] = np.sqrt(np.maximum(to_each.min(axis=1), 0))
    return found
