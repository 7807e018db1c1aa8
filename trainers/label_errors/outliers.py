"""Images whose features are far from every class."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FENCE = 1.5


class FarImages(NamedTuple):
    """The images that are far from every class.

    Attributes:
        limit: the distance beyond which an image is far: Tukey's inner fence, 1.5 interquartile
            ranges above the third quartile.
        rows: the numbers of the images, the farthest first, int64 (found,).
        distances: their distances, float64 (found,).
    """

    limit: float
    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


def find_outliers(features: NDArray[np.float32], labels: NDArray[np.int64]) -> FarImages:
    """Return the images that are far from the mean of the nearest class.

    The distance is the cosine distance, 0 to 2. The Mahalanobis distance needs many more images
    than features, because it needs their covariance.

    Args:
        features: the features, (images, features).
        labels: the labels, (images,); every label from 0 to the highest one occurs.
    """
    units = _to_unit_length(features)
    sums = np.zeros((int(labels.max()) + 1, features.shape[1]), np.float32)
    np.add.at(sums, labels, units)
    distances = 1 - (units @ _to_unit_length(sums).T).max(axis=1).astype(np.float64)
    low, high = np.percentile(distances, (25, 75))
    limit = float(high + _FENCE * (high - low))
    rows = np.flatnonzero(distances > limit)
    rows = rows[np.argsort(-distances[rows], kind="stable")]
    return FarImages(limit, rows, distances[rows])


def _to_unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (rows, features) of length 1; a vector of zeros is unchanged."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
