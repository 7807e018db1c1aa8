"""MixUp and CutMix: labels have the shares of the images."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.trainers.backends import run_python
from trainers.augment.mixing import Mixer
from trainers.options import Augmentation

SIDE = 32
VALUES = np.arange(8) * 30
"""The pixel value of the images of each class, so that the value shows which images are mixed."""


def images_of_one_value() -> np.ndarray:
    return np.repeat(VALUES, SIDE * SIDE * 3).reshape(-1, SIDE, SIDE, 3).astype(np.uint8)


def mix(mixer: Mixer, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, shares = mixer(images_of_one_value(), labels, training=True)
    return keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(shares)


@pytest.mark.parametrize(
    ("augmentation", "tolerance"),
    [
        (Augmentation(mixup=1.0), 1.0),
        (Augmentation(cutmix=1.0), 25.0),  # Keras rounds the sides of the rectangle to pixels
        (Augmentation(mixup=0.4, cutmix=1.0), 25.0),
    ],
)
@pytest.mark.parametrize("is_multi_hot", [False, True])
def test_mixer_labels_have_shares_of_pixels(
    augmentation: Augmentation, tolerance: float, is_multi_hot: bool
) -> None:
    mixer = Mixer(augmentation, 8, seed=1)
    labels = np.eye(8, dtype=np.float32) if is_multi_hot else np.arange(8, dtype=np.int32)
    mixed = 0
    for _ in range(5):
        images, shares = mix(mixer, labels)
        assert images.dtype == np.uint8
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
        assert ((shares > 0).sum(axis=1) <= 2).all()
        means = images.mean(axis=(1, 2, 3))
        assert np.abs(means - shares @ VALUES).max() <= tolerance
        mixed += int((shares.max(axis=1) < 0.99).sum())
    assert mixed > 10


def test_mixer_cutmix_copies_a_rectangle() -> None:
    images, shares = mix(Mixer(Augmentation(cutmix=1.0), 8, seed=2), np.arange(8, dtype=np.int32))
    for number, image in enumerate(images):
        rows, columns = np.nonzero(image[..., 0] != VALUES[number])
        if len(rows):
            box = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert len(np.unique(box)) == 1
            assert box.size == 3 * len(rows)
    assert (shares.max(axis=1) < 1).any()


def test_mixer_mixup_and_cutmix_are_chosen_for_each_image() -> None:
    mixer = Mixer(Augmentation(mixup=1.0, cutmix=1.0), 8, seed=3)
    values = [len(np.unique(image)) for image in mix(mixer, np.arange(8, dtype=np.int32))[0]]
    assert {1, 2} <= {*values}


def test_mixer_inference_leaves_images_and_labels_unchanged() -> None:
    mixer = Mixer(Augmentation(mixup=0.2, cutmix=1.0), 8, seed=0)
    images, shares = mixer(images_of_one_value(), np.arange(8, dtype=np.int32))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(images), images_of_one_value())
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(shares), np.eye(8))


def test_mixer_parameters_close_to_zero_give_finite_labels() -> None:
    mixer = Mixer(Augmentation(mixup=1e-4, cutmix=1e-4), 8, seed=0)
    for _ in range(5):
        images, shares = mix(mixer, np.arange(8, dtype=np.int32))
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
        assert np.abs(images.mean(axis=(1, 2, 3)) - shares @ VALUES).max() <= 25


def test_mixer_restored_variables_continue_random_sequence() -> None:
    labels = np.arange(8, dtype=np.int32)
    mixer, other = (Mixer(Augmentation(mixup=0.3, cutmix=1.0), 8, seed=5) for _ in range(2))
    first = mix(mixer, labels)[1]
    for kept, variable in zip(
        mixer.non_trainable_variables, other.non_trainable_variables, strict=True
    ):
        variable.assign(kept)
    second, resumed = mix(mixer, labels)[1], mix(other, labels)[1]
    np.testing.assert_array_equal(second, resumed)
    assert (first != second).any()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is what runs this")
@pytest.mark.slow
def test_mixer_on_jax_passes_same_tests() -> None:
    run_python("-m", "pytest", "-p", "no:cacheprovider", "-k", "not jax", __file__)
