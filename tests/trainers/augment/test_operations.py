"""Each operation of RandAugment and TrivialAugment, compared with Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from tests.trainers.backends import run_python
from trainers.augment import tf_ops
from trainers.augment.layers import RandomOperations
from trainers.augment.operations import (
    OPERATIONS,
    draw_transforms,
    rand_augment,
    trivial_augment,
    vary_colors,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

POLICY = trivial_augment(1.0)
OPS = [keras.ops] if keras.backend.backend() == "jax" else [keras.ops, tf_ops]


def force(*steps: tuple[str, float, bool], images: int = 1) -> NDArray[np.float32]:
    """Return draws (3, operations, images): operations, their strengths, whether they increase."""
    columns = [
        ((OPERATIONS.index(name) + 0.5) / len(OPERATIONS), strength, 0.9 if rises else 0.1)
        for name, strength, rises in steps
    ]
    return np.repeat(np.array(columns, np.float32).T[..., None], images, axis=2)


def photo(channels: int = 3, low: int = 30, high: int = 220) -> NDArray[np.uint8]:
    random = np.random.default_rng(1)
    coarse = random.integers(low, high, (6, 7, channels), np.uint8)
    fine = random.integers(0, 9, (24, 28, channels), np.uint8)
    return np.asarray(np.kron(coarse, np.ones((4, 4, 1), np.uint8)) + fine, np.uint8)


def vary(image: NDArray[np.uint8], draws: NDArray[np.float32], ops: Any) -> NDArray[np.float32]:
    pixels = ops.cast(ops.stack([image], axis=0), "float32")
    varied = vary_colors(pixels, ops.cast(draws, "float32"), POLICY, ops)
    return np.asarray(np.asarray(varied, np.float32)[0])


def enhance(kind: Any, factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: kind(image).enhance(factor)


@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize(
    ("step", "expected", "tolerance"),
    [
        (("none", 1.0, True), lambda image: image, 0),
        (("brightness", 0.5, True), enhance(ImageEnhance.Brightness, 1.495), 1),
        (("brightness", 1.0, False), enhance(ImageEnhance.Brightness, 0.01), 1),
        (("saturation", 0.6, True), enhance(ImageEnhance.Color, 1.594), 2),
        (("saturation", 1.0, False), enhance(ImageEnhance.Color, 0.01), 1),
        (("contrast", 0.5, False), enhance(ImageEnhance.Contrast, 0.505), 2),
        (("sharpness", 1.0, True), enhance(ImageEnhance.Sharpness, 1.99), 2),
        (("posterize", 0.5, True), lambda image: ImageOps.posterize(image, 5), 0),
        (("solarize", 0.5, True), lambda image: ImageOps.solarize(image, 128), 0),
        (("autocontrast", 1.0, True), ImageOps.autocontrast, 1),
        (("equalize", 1.0, True), ImageOps.equalize, 0),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_vary_colors_operation_equals_that_of_pillow(
    ops: Any,
    step: tuple[str, float, bool],
    expected: Callable[[Image.Image], Image.Image],
    tolerance: int,
) -> None:
    image = photo()
    found = np.round(vary(image, force(step), ops))
    truth = np.asarray(expected(Image.fromarray(image))).astype(float)
    # Pillow leaves the border as it is when it sharpens.
    inner = slice(1, -1) if step[0] == "sharpness" else slice(None)
    assert np.abs(found - truth)[inner, inner].max() <= tolerance
    if step[0] != "none":
        assert np.abs(found - image).max() > 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_vary_colors_image_of_one_value_has_values_of_a_picture(
    channels: int, operation: str
) -> None:
    image = np.full((8, 8, channels), 77, np.uint8)
    found = vary(image, force((operation, 1.0, True)), keras.ops)
    assert np.isfinite(found).all()
    assert 0 <= found.min() <= found.max() <= 255
    if operation in {"autocontrast", "equalize", "contrast", "sharpness"}:
        np.testing.assert_allclose(found, image, atol=1e-3)


@pytest.mark.parametrize("ops", OPS)
def test_vary_colors_each_image_has_its_own_operation(ops: Any) -> None:
    image = photo()
    steps = [(name, 0.7, True) for name in OPERATIONS]
    draws = np.concatenate([force(step) for step in steps], axis=2)
    pixels = ops.cast(ops.stack([image] * len(steps), axis=0), "float32")
    together = np.asarray(vary_colors(pixels, ops.cast(draws, "float32"), POLICY, ops))
    for number, step in enumerate(steps):
        np.testing.assert_allclose(together[number], vary(image, force(step), ops), atol=1e-3)


def transform_of(*steps: tuple[str, float, bool], operations: int = 1) -> NDArray[np.float64]:
    policy = POLICY if operations == 1 else rand_augment(30)
    found = draw_transforms(keras.ops.array(force(*steps)), policy, (40, 60), keras.ops)
    a, b, c, d, e, f, *_ = np.asarray(found, np.float64)[0]
    return np.array([[a, b, c], [d, e, f], [0, 0, 1]])


def test_draw_transforms_each_operation_has_its_matrix() -> None:
    np.testing.assert_allclose(transform_of(("solarize", 1, True)), np.eye(3), atol=1e-5)
    center = np.array([29.5, 19.5, 1])
    turned = transform_of(("rotate", 0.5, True))
    np.testing.assert_allclose(turned @ center, center, atol=1e-4)
    angle = np.radians(67.5)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(turned[:2, :2], matrix, atol=1e-5)
    sheared = transform_of(("shear_x", 0.5, False))
    np.testing.assert_allclose(sheared[:2, :2], np.array([[1.0, -0.495], [0.0, 1.0]]), atol=1e-5)
    np.testing.assert_allclose(sheared @ center, center, atol=1e-4)
    for name, place, side in (("shift_x", 0, 60), ("shift_y", 1, 40)):
        moved = transform_of((name, 1, True)) @ center - center
        assert moved[place] == pytest.approx(0.45 * side, rel=1e-5)
        assert abs(moved[1 - place]) < 1e-5


def test_draw_transforms_two_operations_are_applied_one_after_the_other() -> None:
    steps = (("rotate", 1.0, True), ("shift_x", 1.0, False))
    first, second = (transform_of(step, ("none", 1.0, True), operations=2) for step in steps)
    both = transform_of(*steps, operations=2)
    np.testing.assert_allclose(both, first @ second, atol=1e-3)


def test_random_operations_draw_differently_for_each_image_and_step() -> None:
    images = np.stack([photo()] * 32).astype(np.float32)
    layer = RandomOperations(rand_augment(9), seed=3)
    first, second = (keras.ops.convert_to_numpy(layer(images)) for _ in range(2))
    forms = {image.tobytes() for image in first}
    assert len(forms) > 24
    assert (first != second).any()
    again = keras.ops.convert_to_numpy(RandomOperations(rand_augment(9), seed=3)(images))
    np.testing.assert_array_equal(first, again)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is what runs this")
@pytest.mark.slow
def test_operations_on_jax_pass_same_tests() -> None:
    run_python("-m", "pytest", "-p", "no:cacheprovider", "-k", "not jax", __file__)
