"""Class activation maps point to what a model looks at."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers

from records.errors import UsageError
from shardmill.cli import shardmill
from tests.trainers.conftest import draw_shape
from trainers.explanation import ClassActivation
from trainers.prediction import Predictor

SIDE, SPOT = 32, 6


def make_model(*, nested: bool, flat: bool) -> keras.Model:
    """Output 0 grows with bright spots, and output 1 falls."""
    image = keras.Input((SIDE, SIDE, 1), dtype="uint8")
    scaled = layers.Rescaling(1 / 255)(image)
    conv = layers.Conv2D(1, 3, padding="same", activation="relu", name="conv")
    if nested:
        inner = keras.Input((SIDE, SIDE, 1))
        feature_map = keras.Model(inner, conv(inner), name="backbone")(scaled)
    else:
        feature_map = conv(scaled)
    pooled = layers.MaxPooling2D()(feature_map)
    features = layers.Flatten()(pooled) if flat else layers.GlobalAveragePooling2D()(pooled)
    dense = layers.Dense(2)
    model = keras.Model(image, dense(features))
    conv.set_weights([np.full((3, 3, 1, 1), 1 / 9, np.float32), np.zeros(1, np.float32)])
    kernel, bias = dense.get_weights()
    dense.set_weights([np.tile([[1.0, -1.0]], (len(kernel), 1)), bias])
    return model


def draw_spots(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images with a bright square, and the places of the squares (top, left)."""
    random = np.random.default_rng(2)
    images = random.integers(0, 30, (count, SIDE, SIDE, 1), np.uint8)
    places = random.integers(0, SIDE - SPOT, (count, 2))
    for image, (top, left) in zip(images, places, strict=True):
        image[top : top + SPOT, left : left + SPOT] = 250
    return images, places


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_maps_highest_place_is_inside_the_supporting_spot(nested: bool, flat: bool) -> None:
    images, places = draw_spots(20)
    explainer = ClassActivation(make_model(nested=nested, flat=flat))
    maps = explainer.maps(images, np.zeros(20, np.int64))
    assert maps.shape == (20, SIDE, SIDE)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.max(axis=(1, 2)), 1)
    for activation, place in zip(maps, places, strict=True):
        found = np.array(np.unravel_index(activation.argmax(), activation.shape))
        assert ((place - 1 <= found) & (found < place + SPOT + 1)).all()


def test_maps_output_without_support_is_zero_everywhere() -> None:
    images, _ = draw_spots(3)
    explainer = ClassActivation(make_model(nested=False, flat=False))
    np.testing.assert_array_equal(explainer.maps(images, np.ones(3, np.int64)), 0)


def test_class_activation_model_without_map_is_a_usage_error() -> None:
    image = keras.Input((8, 8, 1), dtype="uint8")
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.Rescaling(1 / 255)(image))))
    with pytest.raises(UsageError, match="no convolutional map"):
        ClassActivation(model)


def test_predict_explain_points_to_the_shapes(run_path: Path, tmp_path: Path) -> None:
    paths = []
    for number in range(300, 330):
        paths.append(tmp_path / f"{number}.png")
        draw_shape(number).save(paths[-1])
    hits = by_chance = 0.0
    for number, found in zip(
        range(300, 330), Predictor(run_path).predict_files(paths, explain=True), strict=True
    ):
        activation = found.activation
        assert activation is not None
        width, height = draw_shape(number).size
        random = np.random.default_rng(number)
        random.integers(28, 44, 2), random.integers(180, 256, 3)
        left, top = random.integers(2, 8, 2)
        row, column = np.unravel_index(activation.argmax(), activation.shape)
        y = (row + 0.5) / activation.shape[0] * height
        x = (column + 0.5) / activation.shape[1] * width
        hits += top - 2 <= y <= top + 20 and left - 2 <= x <= left + 20
        by_chance += 22 * 22 / (width * height)
    assert hits > 1.5 * by_chance


def test_predict_command_explain_draws_grid(run_path: Path, tmp_path: Path) -> None:
    draw_shape(400).save(tmp_path / "new.png")
    arguments = ["predict", str(run_path), str(tmp_path / "new.png"), "--explain"]
    ended = CliRunner().invoke(shardmill, arguments)
    assert isinstance(ended.exception, UsageError)
    grid = tmp_path / "grid.png"
    ended = CliRunner().invoke(shardmill, [*arguments, "--grid", str(grid)])
    assert ended.exit_code == 0, ended.output
    assert grid.read_bytes().startswith(b"\x89PNG")
