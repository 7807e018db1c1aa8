"""Saturation, hue and erased rectangles, in the model and in tf.data."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
import tensorflow as tf

from records.errors import UsageError
from tests.trainers.augment.test_layers import augment
from tests.trainers.backends import run_python
from trainers.augment.spec import check_colors
from trainers.augment.stateless import augment_images
from trainers.options import Augmentation

if TYPE_CHECKING:
    from collections.abc import Callable

COLOR = (200, 100, 120)
IMAGES = 300


def augment_in_tf_data(augmentation: Augmentation, images: np.ndarray) -> np.ndarray:
    return np.asarray(augment_images(tf.constant(images), augmentation, tf.constant([3, 4])))


WAYS = [augment, augment_in_tf_data]


def hsv_of(augmentation: Augmentation, way: Callable[..., np.ndarray]) -> np.ndarray:
    """Return hue, saturation and value of augmented images of one color, (images, 3)."""
    images = np.tile(np.array(COLOR, np.uint8), (IMAGES, 4, 4, 1))
    varied = way(augmentation, images)
    assert (np.ptp(varied, axis=(1, 2)) <= 1).all()
    return np.array([colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in varied[:, 0, 0]])


@pytest.mark.parametrize("way", WAYS)
def test_saturation_is_multiplied_within_bounds(way: Callable[..., np.ndarray]) -> None:
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in COLOR))
    found = hsv_of(Augmentation(saturation=0.6), way)
    np.testing.assert_allclose(found[:, 0] % 1, hue, atol=0.03)
    np.testing.assert_allclose(found[:, 2], value, atol=0.01)
    factors = found[:, 1] / saturation
    assert 0.38 < factors.min() < 0.45
    assert 1.5 < factors.max() < 1.62


@pytest.mark.parametrize("way", WAYS)
def test_hue_turns_by_at_most_half_the_circle_times_value(way: Callable[..., np.ndarray]) -> None:
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in COLOR))
    found = hsv_of(Augmentation(hue=0.4), way)
    np.testing.assert_allclose(found[:, 1:], [(saturation, value)] * IMAGES, atol=0.02)
    turns = (found[:, 0] - hue + 0.5) % 1 - 0.5
    assert -0.21 < turns.min() < -0.17
    assert 0.17 < turns.max() < 0.21


@pytest.mark.parametrize("way", WAYS)
def test_erase_makes_a_gray_rectangle_of_a_share_of_images(way: Callable[..., np.ndarray]) -> None:
    images = np.full((IMAGES, 40, 60, 3), 9, np.uint8)
    varied = way(Augmentation(erase=0.5), images)
    assert {*np.unique(varied)} == {9, 128}
    erased = [image[..., 0] == 128 for image in varied if (image == 128).any()]
    assert 0.4 * IMAGES < len(erased) < 0.6 * IMAGES
    heights, widths = (
        np.array([image.any(axis=axis).sum() for image in erased]) / side
        for axis, side in ((1, 40), (0, 60))
    )
    for sides in (heights, widths):
        assert 0.1 < sides.min() < 0.25
        assert 0.5 < sides.max() < 0.61
    for image in erased:
        rows, columns = np.nonzero(image)
        assert image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_augment_images_every_augmentation_depends_on_the_seed_alone() -> None:
    images = np.random.default_rng(1).integers(0, 256, (8, 20, 24, 3), np.uint8)
    every = Augmentation(
        "both", 20, 0.1, 0.1, 0.1, 0.1, saturation=0.3, hue=0.1, erase=0.5, randaugment=9,
        trivialaugment=1,
    )  # fmt: skip
    first, again = (augment_in_tf_data(every, images) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = np.asarray(augment_images(tf.constant(images), every, tf.constant([3, 5])))
    assert (first != other).any()
    assert augment_in_tf_data(every, images[:0]).shape == (0, 20, 24, 3)


def test_check_colors_of_gray_images_is_refused() -> None:
    check_colors(Augmentation(saturation=0.3), 3)
    check_colors(Augmentation(contrast=0.3), 1)
    with pytest.raises(UsageError, match=r"the images are gray.*got hue=0\.1; omit saturation and"):
        check_colors(Augmentation(hue=0.1), 1)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is what runs this")
@pytest.mark.slow
def test_colors_on_jax_pass_same_tests() -> None:
    run_python("-m", "pytest", "-p", "no:cacheprovider", "-k", "not jax", __file__)
