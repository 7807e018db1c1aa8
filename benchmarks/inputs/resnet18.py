"""ResNet-18 as a custom model: `--model benchmarks.inputs.resnet18:build`.

He et al., Deep Residual Learning for Image Recognition (2015), table 1. With 1,000 classes, the
model has 11.7 million weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from keras import KerasTensor

_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""Filters, and stride of the first block, of each stage."""
_BLOCKS_PER_STAGE = 2


def build(image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return the model, which maps images (batch, *image_shape) to logits (batch, classes)."""
    image = keras.Input(image_shape)
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.ReLU()(_convolve(x, 64, 7, stride=2))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for filters, stride in _STAGES:
        for number in range(_BLOCKS_PER_STAGE):
            x = _block(x, filters, stride if number == 0 else 1)
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def _block(x: KerasTensor, filters: int, stride: int) -> KerasTensor:
    """Return the sum of the input and two convolutions of it; a projection adapts its shape."""
    residual = layers.ReLU()(_convolve(x, filters, 3, stride))
    residual = _convolve(residual, filters, 3)
    if residual.shape != x.shape:
        x = _convolve(x, filters, 1, stride)
    return layers.ReLU()(layers.Add()([residual, x]))


def _convolve(x: KerasTensor, filters: int, size: int, stride: int = 1) -> KerasTensor:
    x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)
