"""Weights files of Keras, encoded in memory and set layer by layer.

Keras writes HDF5 files in two layouts:

layers/conv2d_1/vars/0                  `.weights.h5`: layers are numbered by class, in the order of
layers/functional/layers/dense/vars/0   the model; a nested model is one of its layers
model_weights/block1_conv1/…            `.h5`, also without `model_weights`: `layer_names` lists the
                                        layers in order, `weight_names` their arrays

Automatic layer names differ between processes, so a layer is found by its position.
"""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np

from trainers.models.hdf5 import walk_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SHOWN_ARRAYS = 6
_MAX_MODELS = 100
_MAX_ARRAYS = 100_000


class _WeightsBuffer(io.BytesIO):
    """A weights file in memory: Keras checks the extension of its name, and writes to it."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def encode_weights(model: keras.Model, extend: Callable[[h5py.File], None] | None = None) -> bytes:
    """Return the content of a `.weights.h5` file of a model.

    HDF5 writes only to memory. After a failed write to a disk, it would keep the file open and
    write again when the process ends, which crashes the process.

    Args:
        model: a built model.
        extend: a function that adds to the file.
    """
    buffer = _WeightsBuffer()
    model.save_weights(buffer)
    if extend is not None:
        with h5py.File(buffer, "a") as file:
            extend(file)
    return buffer.getvalue()


@dataclass(frozen=True)
class SavedLayer:
    """The arrays of a layer in a file, not read yet.

    Args:
        name: the name of the layer in the file, for messages.
        arrays: the arrays, in the order of the weights of the layer.
    """

    name: str
    arrays: tuple[h5py.Dataset, ...]

    def __str__(self) -> str:
        return _describe(self.name, [(array.shape, array.dtype) for array in self.arrays])


Match = tuple[keras.Layer, SavedLayer | None]


class WeightsMismatchError(Exception):
    """The arrays of a file do not fit a layer; `expected` and `got` describe both."""

    def __init__(self, layer: keras.Layer, saved: SavedLayer | None) -> None:
        weights = [(weight.shape, weight.dtype) for weight in layer.weights]
        self.expected = _describe(layer.name, weights)
        self.got = "no layer" if saved is None else str(saved)
        super().__init__(f"expected {self.expected}, got {self.got}")


def set_weights(matches: Iterable[Match]) -> None:
    """Set all weights of layers. Raises WeightsMismatchError before any weight is set."""
    pairs = list(matches)
    for layer, saved in pairs:
        if not _fits(layer, saved):
            raise WeightsMismatchError(layer, saved)
    for layer, saved in pairs:
        for weight, array in zip(layer.weights, saved.arrays if saved else (), strict=True):
            weight.assign(array[()])
        finalize_layer(layer)


def finalize_layer(layer: keras.Layer) -> None:
    """Update a layer whose weights were set: Normalization computes with copies of them."""
    if isinstance(layer, keras.layers.Normalization):
        layer.finalize_state()


def match_model(file: h5py.Group | None, model: keras.Model) -> Iterator[Match]:
    """Yield each layer that has weights, with its arrays in a `.weights.h5` file of the model."""
    numbers: Counter[str] = Counter()
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        place = f"layers/{kind}_{numbers[kind]}" if numbers[kind] else f"layers/{kind}"
        numbers[kind] += 1
        if isinstance(layer, keras.Model):
            yield from match_model(_find_group(file, place), layer)
        elif layer.weights:
            arrays = _find_group(file, f"{place}/vars")
            yield layer, _read_layer(arrays, place, len(layer.weights) + 1)


def match_backbone(file: h5py.File, backbone: keras.Model) -> list[Match]:
    """Return each layer of a backbone that has weights, with its arrays in a file.

    The file may contain the weights of a top, too.

    Raises:
        ValueError: the file has no layers in either layout.
    """
    legacy = _find_group(file, "model_weights") or file
    if _read_names(legacy, "layer_names"):
        return _match_in_order(list(_read_legacy(legacy)), backbone)
    models = list(itertools.islice(_find_models(file), _MAX_MODELS + 1))
    if not models:
        raise ValueError("the file has no layers in a Keras layout")
    if len(models) > _MAX_MODELS:
        raise ValueError(f"the file has more than {_MAX_MODELS} nested models")
    return max(
        (list(match_model(model, backbone)) for model in models),
        key=lambda matches: sum(_fits(layer, saved) for layer, saved in matches),
    )


def _match_in_order(saved: list[SavedLayer], backbone: keras.Model) -> list[Match]:
    if any(len(layer.arrays) >= len(backbone.weights) for layer in saved):
        raise ValueError("a nested model, which is supported only in a .weights.h5 file")
    layers = [layer for layer in backbone.layers if layer.weights]
    # A top comes after the backbone; if the file is too short, the last layers have no arrays.
    return list(zip(layers, itertools.chain(saved, itertools.repeat(None)), strict=False))


def _find_models(file: h5py.File) -> Iterator[h5py.Group]:
    """Return the group of the model in a `.weights.h5` file, and of each nested model."""
    return (group for group in walk_groups(file) if _find_group(group, "layers") is not None)


def _find_group(parent: h5py.Group | h5py.Dataset | None, place: str) -> h5py.Group | None:
    found = parent.get(place) if isinstance(parent, h5py.Group) else None
    return found if isinstance(found, h5py.Group) else None


def _read_layer(group: h5py.Group | None, place: str, most: int) -> SavedLayer | None:
    if group is None:
        return None
    name = str(group.attrs.get("name", place))
    numbers = range(min(len(group), most))
    return SavedLayer(name, _arrays(group.get(str(number)) for number in numbers))


def _read_legacy(group: h5py.Group) -> Iterator[SavedLayer]:
    arrays = 0
    for name in _read_names(group, "layer_names"):
        layer = _find_group(group, name)
        if layer is not None and (names := _read_names(layer, "weight_names")):
            arrays += len(names)
            if arrays > _MAX_ARRAYS:
                raise ValueError(f"the layers list more than {_MAX_ARRAYS:,} arrays")
            yield SavedLayer(name, _arrays(map(layer.get, names)))


def _read_names(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names, which Keras splits if the list is too long for one attribute."""
    parts = [group.attrs.get(attribute)]
    if parts[0] is None:
        numbered = (group.attrs.get(f"{attribute}{number}") for number in itertools.count())
        parts = list(itertools.takewhile(lambda part: part is not None, numbered))
    names = itertools.chain.from_iterable(np.ravel(part) for part in parts)
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _arrays(items: Iterable[object]) -> tuple[h5py.Dataset, ...]:
    return tuple(item for item in items if isinstance(item, h5py.Dataset))


def _fits(layer: keras.Layer, saved: SavedLayer | None) -> bool:
    return (
        saved is not None
        and len(saved.arrays) == len(layer.weights)
        and all(map(_fits_weight, layer.weights, saved.arrays))
    )


def _fits_weight(weight: keras.Variable, array: h5py.Dataset) -> bool:
    # Keras stores bfloat16 as integers, which would be read as huge weights.
    kinds = "f" if keras.backend.is_float_dtype(weight.dtype) else "iu"
    return tuple(weight.shape) == array.shape and array.dtype.kind in kinds


def _describe(name: str, arrays: list[tuple[tuple[int, ...], object]]) -> str:
    shown = ", ".join(f"{dtype} {shape}" for shape, dtype in arrays[:_SHOWN_ARRAYS])
    more = f" and {len(arrays) - _SHOWN_ARRAYS} more" * (len(arrays) > _SHOWN_ARRAYS)
    return f"layer {name} of {shown or 'nothing'}{more}"


def _snake_case(name: str) -> str:
    """Return a class name as Keras writes it in files: `DepthwiseConv2D` is `depthwise_conv2d`."""
    spaced = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", spaced).lower()
