"""Pictures are drawn for every name and number there can be; what they look like is for eyes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.history import EpochResult
from trainers.metrics import summarize
from trainers.plots import GRID_IMAGES, plot_confusion, plot_curves, plot_predictions
from trainers.predict import Prediction

NAMES = ("$x_{ b$", "a\x1b[31mred", "猫", "long " * 20, r"\frac", "%s {0}", "_", "é")


def size_of(png: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image.size


def make_epoch(number: int, value: float = 0.5) -> EpochResult:
    return EpochResult(number, value, value, value, value, 1e-3, 1.0)


def make_prediction(number: int, label: int) -> Prediction:
    pixels = np.full((8, 6, 3), number, np.uint8)
    return Prediction(Path(f"{number} $x_$.png"), ((label, 0.5),), pixels)


@pytest.mark.parametrize("epochs", [1, 3, 200])
def test_curves(epochs: int) -> None:
    png = plot_curves([make_epoch(number) for number in range(1, epochs + 1)])
    assert size_of(png)[0] > 800


def test_curves_of_a_perfect_model_and_of_a_hopeless_one() -> None:
    for value in (0.0, 1e9):
        size_of(plot_curves([make_epoch(1, value)]))


def test_the_same_figures_are_the_same_bytes() -> None:
    assert plot_curves([make_epoch(1)]) == plot_curves([make_epoch(1)])
    assert plot_curves([make_epoch(1)]) != plot_curves([make_epoch(1, 0.6)])


@pytest.mark.parametrize("classes", [2, len(NAMES), 40, 300])
def test_confusion(classes: int) -> None:
    labels = tuple(f"{NAMES[number % len(NAMES)]} {number}" for number in range(classes))
    confusion = np.diag(np.arange(classes))
    width, height = size_of(plot_confusion(summarize("test", labels, confusion, 1.0), labels))
    assert max(width, height) < 3500


@pytest.mark.parametrize("images", [1, 5, GRID_IMAGES + 5])
def test_predictions(images: int) -> None:
    predictions = [make_prediction(number, number % len(NAMES)) for number in range(images)]
    width, height = size_of(plot_predictions(predictions, NAMES))
    assert width < 3000
    assert height < 4000


def test_a_grey_image_is_drawn_grey() -> None:
    prediction = Prediction(Path("a.png"), ((0, 1.0),), np.full((8, 8, 1), 100, np.uint8))
    image = Image.open(io.BytesIO(plot_predictions([prediction], NAMES))).convert("RGB")
    assert image.getpixel((image.width // 2, image.height // 2)) == (100, 100, 100)
