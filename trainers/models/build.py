"""Networks built from an architecture, and the blocks of built-in networks."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import keras
from keras import layers

from trainers.models.registry import find_model

if TYPE_CHECKING:
    from trainers.config import Architecture, Target
    from trainers.options import Pooling


@dataclass(frozen=True)
class Network:
    """A model, and its parts if it has a backbone.

    Args:
        model: the uncompiled model from uint8 (batch, *shape) to float32 logits (batch, classes),
            or to the value of a target (batch, 1). The model itself scales the pixels, so that
            every caller passes the same input.
        backbone: the classifier of `keras.applications` without its top, or the backbone of
            KerasHub; None for other models.
        extractor: the model from uint8 (batch, *shape) to the pooled features of the backbone
            (batch, features).
        head: the model from features to logits.
        featured: the model from uint8 (batch, *shape) to logits and penultimate features; see
            `with_features`. None if no dense layer computes the logits.
    """

    model: keras.Model
    backbone: keras.Model | None = None
    extractor: keras.Model | None = None
    head: keras.Model | None = None
    featured: keras.Model | None = None


def build_network(architecture: Architecture) -> Network:
    """Return the network of an architecture, with random weights."""
    module = importlib.import_module(find_model(architecture.model).module)
    network: Network = module.build(architecture)
    if architecture.target is not None:
        return _scale(network, architecture.target)
    return replace(network, featured=network.featured or with_features(network.model))


def with_features(model: keras.Model) -> keras.Model | None:
    """Return a model of the same layers with two outputs: its logits, and penultimate features.

    The penultimate features, (batch, features), are the input of the dense layer that computes the
    logits. None if the last layer is not dense, or the model is not functional.
    """
    behind = (layer for layer in reversed(model.layers) if not isinstance(layer, layers.Activation))
    last = next(behind, None)
    if not isinstance(last, layers.Dense):
        return None
    try:
        image, features = model.inputs[0], last.input
        return keras.Model(image, [*model.outputs, features]) if features.ndim == 2 else None
    except (AttributeError, ValueError):  # not functional, or the layer is not at the end
        return None


def _scale(network: Network, target: Target) -> Network:
    """Return a network whose output has the unit of a target."""
    scale = layers.Rescaling(target.deviation, target.mean, dtype="float32", name="unit_of_target")

    def scaled(model: keras.Model) -> keras.Model:
        return keras.Model(model.input, scale(model.output), name=model.name)

    head = None if network.head is None else scaled(network.head)
    return replace(network, model=scaled(network.model), head=head)


def open_image(architecture: Architecture) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the input, uint8 (batch, *shape), and its values scaled to 0–1."""
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
    """Add a convolution with square kernels and ReLU."""
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
    """Add a 3 × 3 convolution, and max pooling that halves height and width."""
    return layers.MaxPooling2D()(conv(x, filters, 3, architecture))


def dropout(x: keras.KerasTensor, rate: float | None) -> keras.KerasTensor:
    """Add dropout, unless the rate is 0 or None."""
    return layers.Dropout(rate)(x) if rate else x


def dense(x: keras.KerasTensor, units: int, architecture: Architecture) -> keras.KerasTensor:
    """Add a dense layer with ReLU."""
    return layers.Dense(units, activation="relu", kernel_regularizer=_penalty(architecture))(x)


def logits(x: keras.KerasTensor, outputs: int, architecture: Architecture) -> keras.KerasTensor:
    """Add the last layer: float32 (batch, outputs) at every precision policy."""
    return layers.Dense(
        outputs, dtype="float32", kernel_regularizer=_penalty(architecture), name="logits"
    )(x)


def add_head(
    image: keras.KerasTensor,
    backbone: keras.Model,
    features: keras.KerasTensor,
    architecture: Architecture,
    *,
    name: str,
) -> Network:
    """Return a network with pooling and a head: a dense layer, dropout and the logits.

    Args:
        image: the input, uint8 (batch, *shape).
        backbone: the backbone.
        features: the output of the backbone: a feature map (batch, height, width, channels), a
            sequence of tokens (batch, tokens, features), or features (batch, features).
        architecture: the architecture with the options of the head.
        name: the name of the model.
    """
    pooled = _pool(features, architecture.pooling)
    units = architecture.head_units
    x = dense(pooled, units, architecture) if units else pooled
    output = logits(dropout(x, architecture.head_dropout), architecture.classes, architecture)
    return Network(
        keras.Model(image, output, name=name),
        backbone=backbone,
        extractor=keras.Model(image, pooled, name="extractor"),
        head=keras.Model(pooled, output, name="head"),
    )


def _pool(features: keras.KerasTensor, pooling: Pooling) -> keras.KerasTensor:
    kinds = {
        "avg": (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
        "max": (layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D),
        "flatten": (layers.Flatten, layers.Flatten),
    }
    # In float32, so that a head receives the same type of features at every precision policy.
    options = {"dtype": "float32", "name": "features"}
    if features.ndim == 2 or pooling == "token":
        token = features if features.ndim == 2 else features[:, 0]
        return layers.Activation("linear", **options)(token)
    return kinds[pooling][features.ndim - 3](**options)(features)


def _penalty(architecture: Architecture) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L2(architecture.l2) if architecture.l2 else None
