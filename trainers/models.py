"""The models there are, as a table; Keras is loaded when one is built."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from records.errors import UsageError
from trainers.config import ImageShape

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be trained.

    Args:
        module: the module whose `build_model(shape, classes)` returns it, uncompiled. It takes
            uint8 images, scales them itself and returns logits, so that no caller can feed it
            otherwise than it was trained.
        size_px: (height, width) it is fed where neither the user nor the dataset has a say.
        least_side_px: the smallest height and width it works on.
        learning_rate: Adam's, where none is given.
    """

    module: str
    size_px: tuple[int, int]
    least_side_px: int
    learning_rate: float


MODELS: dict[str, ModelSpec] = {
    "cnn": ModelSpec("trainers.cnn", size_px=(180, 180), least_side_px=8, learning_rate=1e-3),
}


def find_model(name: str) -> ModelSpec:
    """The model of that name. Raises UsageError, naming those there are."""
    if name not in MODELS:
        raise UsageError("there is no such model", expected=" or ".join(MODELS), got=repr(name))
    return MODELS[name]


def build_model(name: str, shape: ImageShape, classes: int) -> keras.Model:
    """A model with fresh weights: uint8 (batch, *shape) to logits (batch, classes), uncompiled."""
    model: keras.Model = importlib.import_module(find_model(name).module).build_model(
        shape, classes
    )
    return model
