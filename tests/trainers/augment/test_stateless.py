"""Augmentation in tf.data mirrors whole images, by its seed alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import tensorflow as tf

from trainers.augment.stateless import augment_images
from trainers.options import Augmentation


@pytest.mark.parametrize(
    ("flip", "axes"),
    [("horizontal", [(), (1,)]), ("vertical", [(), (0,)]), ("both", [(), (0,), (1,), (0, 1)])],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_augment_images_flip_mirrors_every_pixel_of_some_images(
    flip: Literal["horizontal", "vertical", "both"],
    axes: list[tuple[int, ...]],
    channels: int,
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (64, 5, 7, channels), np.uint8)
    augmentation = Augmentation(flip=flip)

    def augment(seed: int) -> np.ndarray:
        varied = augment_images(tf.constant(images), augmentation, tf.constant([seed, 2]))
        return np.asarray(varied)

    varied = augment(3)
    forms = [
        [np.flip(image, axis).tobytes() for axis in axes].index(new.tobytes())
        for image, new in zip(images, varied, strict=True)
    ]
    counts = np.bincount(forms, minlength=len(axes))
    assert (counts > 64 / len(axes) / 3).all()
    np.testing.assert_array_equal(varied, augment(3))
    assert (varied != augment(4)).any()
    none = augment_images(tf.constant(images[:0]), augmentation, tf.constant([3, 2]))
    assert none.shape == (0, 5, 7, channels)
