"""Views of images for test-time augmentation: mirrored and cropped, always the same."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_SIDE = 7 / 8
"""The side of a crop, as a fraction of the side of the image."""


def views_of(images: NDArray[np.uint8], views: int) -> Iterator[NDArray[np.uint8]]:
    """Yield views of a batch of images, each uint8 with the shape of the batch.

    The views are: the images; the mirrored images; the four corners, each 7/8 as wide and as high
    as the image, and resized to its size; the mirrored corners.

    Args:
        images: the images, uint8 (batch, height, width, channels).
        views: the number of views, 1 to 10.
    """
    return itertools.islice(_all_views(images), views)


def _all_views(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    yield images
    yield _mirror(images)
    corners = []
    for corner in _corners(images):
        corners.append(corner)
        yield corner
    yield from map(_mirror, corners)


def _mirror(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(images[:, :, ::-1])


def _corners(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    import tensorflow as tf

    size = images.shape[1:3]
    height, width = (max(round(side * _SIDE), 1) for side in size)
    for top, left in itertools.product((0, size[0] - height), (0, size[1] - width)):
        with tf.device("CPU"):  # as in training, which never resizes on a GPU
            resized = tf.image.resize(images[:, top : top + height, left : left + width], size)
            corner: NDArray[np.uint8] = tf.cast(tf.round(resized), tf.uint8).numpy()
        yield corner
