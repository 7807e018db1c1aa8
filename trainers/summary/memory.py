"""Estimate of the memory that a training step needs.

Weights, gradients and the state of the optimizer have known sizes. The activations are estimated
from the outputs of the layers for one batch:

- From the input of the first trained layer on, the backward pass needs the output of every layer.
  It also computes one gradient at a time, which is at most as large as the largest output.
- Layers before the first trained layer only pass their output on, so that the input and the output
  of one layer exist at a time.

The estimate does not include the libraries, the workspace of convolutions, the 16-bit copies of
weights in mixed precision, and images that are read ahead. XLA may need less, because it does not
store the outputs that it can fuse.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import keras

from trainers.summary.summary import MemoryEstimate

if TYPE_CHECKING:
    from collections.abc import Iterable

_GRADIENT_BYTES = 4  # the weights, and so their gradients, are float32 with every policy


def estimate_memory(
    model: keras.Model, network: keras.Model, *, batch_size: int, input_bytes: int
) -> MemoryEstimate:
    """Return the estimated memory of a step.

    Args:
        model: the compiled model of a phase, whose optimizer is built.
        network: the whole network, whose weights are in memory in every phase.
        batch_size: the number of images per step.
        input_bytes: the size of one image, or of its features.
    """
    layers = list_layers(model)
    sizes = [batch_size * output_bytes(layer) for layer in layers]
    trained = (place for place, layer in enumerate(layers) if layer.trainable_weights)
    first = max(next(trained, len(layers)) - 1, 0)
    passing, kept = sizes[:first], sizes[first:]
    activations = max(sum(kept) + max(kept, default=0), 2 * max(passing, default=0))
    parts = (
        _size_bytes(network.weights),
        count_weights(model, trained=True) * _GRADIENT_BYTES,
        _size_bytes(model.optimizer.variables),
        batch_size * input_bytes + activations,
    )
    return MemoryEstimate(*parts, sum(parts))


def list_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers of a model and of its nested models, in order, without inputs."""
    found: list[keras.Layer] = []
    for layer in model.layers:
        if isinstance(layer, keras.Model) and _has_all_parameters(layer):
            found += list_layers(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            found.append(layer)
    return found


def _has_all_parameters(model: keras.Model) -> bool:
    """Return whether the layers of a model have all of its parameters: a subclass may add some."""
    layers = model.layers
    return bool(layers) and sum(map(count_weights, layers)) == count_weights(model)


def count_weights(layer: keras.Layer, *, trained: bool = False) -> int:
    """Return the number of parameters of a layer, or only of those that are trained."""
    weights = layer.trainable_weights if trained else layer.weights
    return sum(math.prod(weight.shape) for weight in weights)


def output_shape(layer: keras.Layer) -> tuple[int, ...] | None:
    """Return the shape of the output of a layer without the batch; None if it is not known."""
    outputs = _outputs(layer)
    shape: tuple[int | None, ...] = tuple(outputs[0].shape[1:]) if outputs else (None,)
    sides = tuple(side for side in shape if side is not None)
    return sides if len(sides) == len(shape) else None


def output_bytes(layer: keras.Layer) -> int:
    """Return the size of the outputs of a layer for one image; 0 if their shape is not known."""
    return sum(
        math.prod(side or 1 for side in output.shape[1:]) * _item_bytes(output.dtype)
        for output in _outputs(layer)
    )


def _outputs(layer: keras.Layer) -> list[Any]:
    try:
        return list(keras.tree.flatten(layer.output))
    except AttributeError:  # a layer inside a layer of a subclass
        return []


def _size_bytes(variables: Iterable[keras.Variable]) -> int:
    return sum(math.prod(each.shape) * _item_bytes(each.dtype) for each in variables)


def _item_bytes(dtype: str) -> int:
    """Return the size of a value: `bfloat16`, which NumPy does not know, has 2 bytes."""
    bits = re.search(r"\d+", dtype)
    return int(bits[0]) // 8 if bits else 1
