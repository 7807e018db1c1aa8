"""Mean features of classes, and the similarity of images to them.

The similarity is the cosine of the angle between the features of an image and the mean direction of
the features of the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = 0.95
"""The share of the validation images whose similarity reaches the threshold."""
_ROUNDING = 1e-5
"""How much less similar an image may be with another size of the batch."""


@dataclass(frozen=True)
class ClassMeans:
    """The mean direction of the features of each class, and the threshold of rejection.

    Args:
        directions: float32 (classes, features); the length of each row is 1, or 0 if the class has
            no training images.
        reject_below: the similarity below which an image shows none of the classes, -1 to 1.
    """

    directions: NDArray[np.float32]
    reject_below: float

    def rejects(
        self, features: NDArray[np.floating], labels: NDArray[np.integer]
    ) -> NDArray[np.bool_]:
        """Return whether images show none of the classes, from features and predicted labels."""
        return ~(similarities(features, self.directions[labels]) >= self.reject_below)


def similarities(
    features: NDArray[np.floating], directions: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the similarity of images to their classes, float32 (images,), -1 to 1.

    Args:
        features: the features of the images, (images, features).
        directions: the mean direction of the class of each image, (images, features).
    """
    return np.asarray((normalize(features) * directions).sum(axis=1), np.float32)


def normalize(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return vectors (rows, features) with the length 1; a vector of zeros stays unchanged."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # infinite features
        return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def threshold_of(found: NDArray[np.float32]) -> float:
    """Return the threshold that the share `KEPT` of the similarities reaches, at least one."""
    needed = int(np.ceil(KEPT * len(found)))
    return max(float(np.sort(found)[len(found) - needed]) - _ROUNDING, -1.0)
