"""A network built from its architecture, with fresh weights; Keras is loaded here.

What networks here are made of, each block with the regularisation the architecture asks for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
from keras import layers

from trainers.models.registry import find_model

if TYPE_CHECKING:
    import keras

    from trainers.config import Architecture


@dataclass(frozen=True)
class Network:
    """A model, and the parts of one that has a base.

    Args:
        model: uint8 (batch, *shape) to float32 logits (batch, classes), uncompiled. It scales
            images itself, so that no caller can feed it otherwise than it was trained.
        base: the classifier of `keras.applications` without its top; None where there is none.
        extractor: uint8 (batch, *shape) to the base's pooled features (batch, features).
        head: features to logits.
    """

    model: keras.Model
    base: keras.Model | None = None
    extractor: keras.Model | None = None
    head: keras.Model | None = None


def build_network(architecture: Architecture) -> Network:
    """The network of an architecture, with random weights."""
    module = importlib.import_module(find_model(architecture.model).module)
    network: Network = module.build(architecture)
    return network


def open_image(architecture: Architecture) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input, uint8 (batch, *shape), and its values scaled to 0–1."""
    image = keras.Input(architecture.shape.array_shape, dtype="uint8", name="image")
    return image, layers.Rescaling(1 / 255)(image)


def conv(
    x: keras.KerasTensor,
    filters: int,
    side: int,
    architecture: Architecture,
    *,
    stride: int = 1,
    padding: str = "same",
) -> keras.KerasTensor:
    """A convolution with square kernels, rectified."""
    return layers.Conv2D(
        filters,
        side,
        strides=stride,
        padding=padding,
        activation="relu",
        kernel_regularizer=_penalty(architecture),
    )(x)


def convolve_and_pool(
    x: keras.KerasTensor, filters: int, architecture: Architecture
) -> keras.KerasTensor:
    """The block of `cnn`: a 3 × 3 convolution, and a pooling that halves both sides."""
    return layers.MaxPooling2D()(conv(x, filters, 3, architecture))


def dropout(x: keras.KerasTensor, rate: float | None) -> keras.KerasTensor:
    """Leave out a part of the values while training; where that is nothing, there is no layer."""
    return layers.Dropout(rate)(x) if rate else x


def dense(x: keras.KerasTensor, units: int, architecture: Architecture) -> keras.KerasTensor:
    """A dense layer, rectified."""
    return layers.Dense(units, activation="relu", kernel_regularizer=_penalty(architecture))(x)


def logits(x: keras.KerasTensor, outputs: int, architecture: Architecture) -> keras.KerasTensor:
    """The last layer: float32 (batch, outputs), whatever precision the others compute in."""
    return layers.Dense(
        outputs, dtype="float32", kernel_regularizer=_penalty(architecture), name="logits"
    )(x)


def _penalty(architecture: Architecture) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L2(architecture.l2) if architecture.l2 else None
