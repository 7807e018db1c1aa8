"""Classifiers of `keras.applications`: preprocessing, backbone and a new head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers, ops

from trainers.models.build import Network, add_head
from trainers.models.registry import find_model

if TYPE_CHECKING:
    from trainers.config import Architecture

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def build(architecture: Architecture) -> Network:
    """Return the network from uint8 (batch, height, width, 3) to logits (batch, classes).

    The weights are random. The extractor consists of preprocessing, backbone and pooling. The head
    consists of dense layer, dropout and logits. The extractor returns float32 features.
    """
    image = keras.Input(architecture.shape.array_shape, dtype="uint8", name="image")
    backbone = build_backbone(architecture.model, architecture.shape.array_shape)
    feature_map = backbone(preprocess(image, architecture.model))
    return add_head(image, backbone, feature_map, architecture, name=architecture.model)


def build_backbone(
    model: str, shape: tuple[int, int, int], weights: str | None = None
) -> keras.Model:
    """Return a Keras classifier without its top.

    It maps preprocessed images to the last feature map.

    Args:
        model: a name in `MODELS` with a backbone.
        shape: the shape of an image: height, width, channels.
        weights: the initial weights: None means random weights; `imagenet` means the ImageNet
            weights, which Keras downloads unless it has a local copy.
    """
    _, classifier = _application(model)
    backbone: keras.Model = getattr(keras.applications, classifier)(
        include_top=False, weights=weights, input_shape=shape
    )
    return backbone


def preprocess(image: keras.KerasTensor, model: str) -> keras.KerasTensor:
    """Apply the Keras preprocessing of a classifier to pixels from 0 to 255."""
    family, _ = _application(model)
    prepared = getattr(keras.applications, family).preprocess_input(ops.cast(image, "float32"))
    return _scale_for_efficientnet(prepared) if family == "efficientnet" else prepared


def _application(model: str) -> tuple[str, str]:
    family, _, classifier = str(find_model(model).application).partition(".")
    return family, classifier


def _scale_for_efficientnet(pixels: keras.KerasTensor) -> keras.KerasTensor:
    # With the ImageNet weights, the normalization inside EfficientNet divides pixels by the root of
    # the deviation. Keras divides by this root again, but only in a network that it builds with
    # these weights, not if the weights are set later. This layer does so in every case, so that the
    # features equal those of Keras:
    # https://github.com/tensorflow/tensorflow/issues/49930
    scale = [deviation**-0.5 for deviation in _IMAGENET_DEVIATION]
    offset = [255 * mean * (1 - part) for mean, part in zip(_IMAGENET_MEAN, scale, strict=True)]
    return layers.Rescaling(scale, offset, dtype="float32")(pixels)
