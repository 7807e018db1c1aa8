"""What the layers of augmentation make of pixels, on TensorFlow and, run once more, on JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from tests.trainers.backends import run_python
from trainers.augment.layers import build_augmenter
from trainers.config import ImageShape
from trainers.options import Augmentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SHAPE = ImageShape(57, 61)
EVERYTHING = Augmentation(
    flip="both", rotate_degrees=30, shift=0.1, zoom=0.2, contrast=0.3, brightness=0.2,
    saturation=0.3, hue=0.1, erase=0.5, randaugment=9, trivialaugment=1,
)  # fmt: skip


def augment(
    augmentation: Augmentation, images: NDArray[np.uint8], seed: int = 1
) -> NDArray[np.uint8]:
    height, width, channels = images.shape[1:]
    augmenter = build_augmenter(augmentation, ImageShape(height, width, channels), seed)
    assert augmenter is not None
    varied: NDArray[np.uint8] = keras.ops.convert_to_numpy(augmenter(images, training=True))
    assert varied.dtype == np.uint8
    assert varied.shape == images.shape
    return varied


def noise(count: int, *shape: int) -> NDArray[np.uint8]:
    one = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return np.stack([one] * count)


def find_transforms(
    augmentation: Augmentation,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of 200 draws, read off a ramp: matrices (200, 2, 2) and the image's place in the middle."""
    rows, columns = np.mgrid[:57, :61]
    ramp = np.stack([3 * columns + 30, 3 * rows + 30], axis=-1).astype(np.uint8)
    # A model of two channels there is not; the third has nothing to say.
    images = np.stack([np.concatenate([ramp, ramp[..., :1]], axis=-1)] * 200)
    places = (augment(augmentation, images)[:, 24:33, 26:35, :2] - 30.0) / 3
    y, x = np.mgrid[-4:5, -4:5]
    plane = np.stack([x.ravel(), y.ravel(), np.ones(81)], axis=1)
    fit = np.linalg.pinv(plane) @ places.reshape(200, 81, 2)
    return fit[:, :2].transpose(0, 2, 1), fit[:, 2] - (30, 28)


def test_build_augmenter_without_layer_options_returns_none() -> None:
    assert build_augmenter(Augmentation(), SHAPE, 0) is None
    assert build_augmenter(Augmentation(crop=0.08), SHAPE, 0) is None


def test_augmenter_inference_leaves_images_unchanged() -> None:
    images = noise(4, *SHAPE.array_shape)
    augmenter = build_augmenter(EVERYTHING, SHAPE, 0)
    assert augmenter is not None
    for result in (augmenter(images, training=False), augmenter(images)):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(result), images)


@pytest.mark.parametrize(
    ("flip", "axes"),
    [("horizontal", [(), (1,)]), ("vertical", [(), (0,)]), ("both", [(), (0,), (1,), (0, 1)])],
)
def test_augmenter_flip_mirrors_every_pixel(flip: Any, axes: list[tuple[int, ...]]) -> None:
    images = noise(64, 5, 8, 1)
    forms = [np.flip(images[0], axis).tobytes() for axis in axes]
    varied = [image.tobytes() for image in augment(Augmentation(flip=flip), images)]
    assert {varied.count(form) > 64 // (2 * len(axes)) for form in forms} == {True}
    assert set(varied) == set(forms)


def test_augmenter_rotate_stays_within_angle_around_center() -> None:
    matrices, middles = find_transforms(Augmentation(rotate_degrees=45))
    degrees = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 1, 1]))
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=0.06)
    np.testing.assert_allclose(middles, 0, atol=0.2)
    assert -46 < degrees.min() < -40
    assert 40 < degrees.max() < 46
    assert abs(degrees.mean()) < 8


def test_augmenter_shift_stays_within_fraction_of_each_side() -> None:
    matrices, middles = find_transforms(Augmentation(shift=0.15))
    np.testing.assert_allclose(matrices, np.broadcast_to(np.eye(2), (200, 2, 2)), atol=0.01)
    parts = middles / (61, 57)
    assert (np.abs(parts).max(axis=0) < 0.155).all()
    assert (parts.max(axis=0) > 0.14).all()
    assert (parts.min(axis=0) < -0.14).all()
    assert abs(np.cov(parts.T)[0, 1]) < 0.3 * parts.std(axis=0).prod()


def test_augmenter_zoom_scales_both_sides_equally() -> None:
    matrices, middles = find_transforms(Augmentation(zoom=0.5))
    zooms = np.sqrt(np.linalg.det(matrices))
    np.testing.assert_allclose(matrices, np.multiply.outer(zooms, np.eye(2)), atol=0.02)
    np.testing.assert_allclose(middles, 0, atol=0.2)
    assert 0.48 < zooms.min() < 0.55
    assert 1.45 < zooms.max() < 1.52


def test_augmenter_combined_transforms_stay_within_bounds() -> None:
    matrices, middles = find_transforms(Augmentation(rotate_degrees=45, shift=0.15, zoom=0.5))
    np.testing.assert_allclose(matrices[:, 0, 0], matrices[:, 1, 1], atol=0.05)
    np.testing.assert_allclose(matrices[:, 0, 1], -matrices[:, 1, 0], atol=0.05)
    zooms = np.sqrt(np.linalg.det(matrices))
    assert 0.48 < zooms.min() < zooms.max() < 1.52
    # The middle moves by the shift, as it is seen in the result.
    shifts = -np.linalg.solve(matrices, middles[..., None])[..., 0] / (61, 57)
    assert (np.abs(shifts).max(axis=0) < 0.16).all()
    assert (np.abs(shifts).max(axis=0) > 0.13).all()


def test_augmenter_rotate_by_quarter_turn_moves_every_pixel() -> None:
    images = noise(100, 16, 16, 3)
    varied = augment(Augmentation(rotate_degrees=180), images).astype(int)
    # Of a hundred angles one is near 90 degrees, and each of its pixels near the turned one.
    distances = [np.abs(varied - np.rot90(images[0], turns)).mean((1, 2, 3)) for turns in (1, 3)]
    assert np.min(distances) < 25
    assert np.median(distances) > 60


def test_augmenter_brightness_shifts_all_pixels_equally() -> None:
    varied = augment(Augmentation(brightness=0.2), np.full((200, 4, 4, 3), 100, np.uint8))
    assert (np.ptp(varied, axis=(1, 2, 3)) == 0).all()
    assert 49 <= varied.min() < 55
    assert 145 < varied.max() <= 151
    assert augment(Augmentation(brightness=1), np.full((50, 2, 2, 1), 250, np.uint8)).max() == 255


def test_augmenter_contrast_scales_pixels_around_mean() -> None:
    image = np.full((4, 4, 1), 80, np.uint8)
    image[:2] = 120
    varied = augment(Augmentation(contrast=0.5), np.stack([image] * 200)).astype(int)
    spread = varied[:, 0, 0, 0] - varied[:, 3, 0, 0]
    assert 19 <= spread.min() < 24
    assert 56 < spread.max() <= 61
    assert (np.abs(varied.mean((1, 2, 3)) - 100) <= 1).all()


def test_augmenter_same_seed_gives_same_images() -> None:
    images = noise(16, *SHAPE.array_shape)
    first = augment(EVERYTHING, images, seed=2**32 - 1)
    np.testing.assert_array_equal(first, augment(EVERYTHING, images, seed=2**32 - 1))
    assert (first != augment(EVERYTHING, images, seed=3)).mean() > 0.5


def test_augmenter_added_options_do_not_change_flip_draws() -> None:
    images = np.full((32, 4, 6, 1), 100, np.uint8)
    images[:, :, :3] = 0
    alone = augment(Augmentation(flip="horizontal"), images)[:, 0, 0, 0] > 0
    among = augment(Augmentation(flip="both", brightness=0.001), images)[:, 0, 0, 0] > 0
    np.testing.assert_array_equal(alone, among)
    assert 0 < alone.sum() < 32


def test_augmenter_restored_variables_continue_random_sequence() -> None:
    images = noise(8, *SHAPE.array_shape)
    augmenter, other = (build_augmenter(EVERYTHING, SHAPE, 5) for _ in range(2))
    assert augmenter is not None
    assert other is not None
    first = keras.ops.convert_to_numpy(augmenter(images, training=True))
    for kept, variable in zip(
        augmenter.non_trainable_variables, other.non_trainable_variables, strict=True
    ):
        variable.assign(kept)
    second, resumed = (
        keras.ops.convert_to_numpy(model(images, training=True)) for model in (augmenter, other)
    )
    np.testing.assert_array_equal(second, resumed)
    assert (first != second).mean() > 0.5


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("bfloat16")
def test_augmenter_mixed_precision_keeps_all_pixel_levels() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    exact = augment(Augmentation(flip="both", zoom=1e-9, contrast=1e-9, brightness=1e-9), levels)
    assert sorted(exact.ravel()) == list(range(256))


def test_augmenter_inside_model_varies_images_only_in_training() -> None:
    inputs = keras.Input(SHAPE.array_shape, dtype="uint8")
    network = keras.Sequential(
        [
            keras.Input(SHAPE.array_shape, dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    augmenter = build_augmenter(EVERYTHING, SHAPE, 0)
    assert augmenter is not None
    model = keras.Model(inputs, network(augmenter(inputs)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = noise(12, *SHAPE.array_shape), np.arange(12) % 2
    before = augmenter.non_trainable_variables[0].numpy().tolist()
    model.fit(images, labels, batch_size=4, epochs=2, verbose=0)
    drawn = augmenter.non_trainable_variables[0].numpy().tolist()
    assert drawn == [before[0], before[1] + 6]
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), network.predict(images, verbose=0)
    )
    assert augmenter.non_trainable_variables[0].numpy().tolist() == drawn
    # What cannot be compiled would keep all of the model from it.
    assert model.jit_compile is (keras.backend.backend() == "jax")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is what runs this")
@pytest.mark.slow
@pytest.mark.parametrize("chosen", ["inside_model", "not jax"])
def test_augmenter_on_jax_passes_same_tests(chosen: str) -> None:
    run_python("-m", "pytest", "-p", "no:cacheprovider", "-k", chosen, __file__)
