"""Where random crops lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorflow as tf

from trainers.input.random_crop import sample_crop_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEEDS = 500


def draw_windows(height: int, width: int, min_area: float, seed: int = 0) -> NDArray[np.int32]:
    """Windows (SEEDS, 4) of as many seeds."""
    seeds = tf.stack(
        [tf.fill((SEEDS,), tf.constant(seed, tf.int64)), tf.range(SEEDS, dtype=tf.int64)], axis=1
    )

    def draw(seed: tf.Tensor) -> tf.Tensor:
        return sample_crop_box(tf.constant([height, width]), min_area, seed)

    draw_all = tf.function(lambda seeds: tf.map_fn(draw, seeds, fn_output_signature=tf.int32))
    windows: NDArray[np.int32] = draw_all(seeds).numpy()
    return windows


@pytest.mark.parametrize("size", [(300, 400), (400, 300), (333, 500), (17, 17), (2000, 1500)])
@pytest.mark.parametrize("min_area", [0.08, 0.35, 0.6])
def test_sample_crop_box_area_and_aspect_ratio_stay_within_bounds(
    size: tuple[int, int], min_area: float
) -> None:
    top, left, height, width = draw_windows(*size, min_area).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= size[0]).all()
    assert (left + width <= size[1]).all()
    # To the pixel.
    assert ((width - 1) * 3 <= (height + 1) * 4).all()
    assert ((height - 1) * 3 <= (width + 1) * 4).all()
    assert ((height + 1) * (width + 1) >= min_area * size[0] * size[1]).all()


def test_sample_crop_box_many_seeds_spread_over_the_image() -> None:
    top, left, height, width = draw_windows(300, 400, 0.08).T
    areas = height * width / (300 * 400)
    assert areas.min() < 0.1
    assert areas.max() > 0.8
    assert top.min() == left.min() == 0
    assert abs((top + height / 2).mean() - 150) < 10
    assert abs((left + width / 2).mean() - 200) < 13
    ratios = width / height
    assert ratios.min() < 0.78
    assert ratios.max() > 1.3


@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((1, 50), [0, 24, 1, 1]),
        ((50, 1), [24, 0, 1, 1]),
        ((1, 1), [0, 0, 1, 1]),
        ((30, 4000), [0, 1980, 30, 40]),
        ((4000, 30), [1980, 0, 40, 30]),
    ],
)
def test_sample_crop_box_extreme_image_shape_gives_central_box(
    size: tuple[int, int], window: list[int]
) -> None:
    assert {tuple(row) for row in draw_windows(*size, 0.5).tolist()} == {tuple(window)}


def test_sample_crop_box_same_seed_gives_same_box() -> None:
    first = draw_windows(300, 400, 0.08, seed=1 << 40)
    tf.random.set_seed(9)
    np.testing.assert_array_equal(first, draw_windows(300, 400, 0.08, seed=1 << 40))
    assert len({tuple(row) for row in first.tolist()}) > 450
    assert (first != draw_windows(300, 400, 0.08, seed=(1 << 40) + (1 << 32))).mean() > 0.5
