"""Presets of KerasHub: which backbone, and how it expects pixels.

    PRESET/config.json            the class of the backbone and its arguments
    PRESET/image_converter.json   image size, scale and offset of the pixels; may be absent
    PRESET/model.weights.h5       the weights

The files are untrusted. A backbone is one of the classes of KerasHub, with arguments that are
numbers, texts and lists, so that no other object of a configuration is created. A folder is read
without Keras. KerasHub downloads other presets, unless a cache has them.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.runtime.extras import check_extra, require_extra
from records.strict_json import decode_json
from records.text.escaping import escape_for_display
from trainers.backend import start_backend
from trainers.config import HubBackbone
from trainers.options import Pixels

if TYPE_CHECKING:
    from trainers.models.spec import ModelSpec

WEIGHTS = "model.weights.h5"
_CONFIG, _CONVERTER = "config.json", "image_converter.json"
_LARGEST_BYTES = 1 << 20
_EXTRA = "keras-hub"
_NOT_ARGUMENTS = {"name", "trainable", "dtype", "image_shape"}
"""Arguments that the run determines: the precision policy, and the size of its images."""
_EXPECTED = (
    "a folder, a name of KerasHub, such as vit_base_patch16_224_imagenet, or a handle, such as "
    "hf://keras/vit_base_patch16_224_imagenet"
)
_CONVERT = (
    "if it is a model of Hugging Face in another format, load it with "
    "keras_hub.models.Backbone.from_preset, and call save_to_preset"
)


class SavedObject(msgspec.Struct, frozen=True):
    """A Keras object in a file of a preset."""

    class_name: str
    config: dict[str, Any]


_Sides = tuple[Pixels, Pixels]
_Factors = float | Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)] | None


class _Converter(msgspec.Struct, frozen=True):
    """The arguments of an `ImageConverter` of KerasHub that determine the pixels."""

    image_size: _Sides | None = None
    scale: _Factors = None
    offset: _Factors = None


class Preset(NamedTuple):
    """The backbone of images in a preset.

    Attributes:
        backbone: the backbone, and the scale and the offset of the pixels.
        size_px: the (height, width) of its images.
        has_converter: whether the preset describes the pixels.
    """

    backbone: HubBackbone
    size_px: tuple[int, int]
    has_converter: bool


def resolve_preset(spec: ModelSpec) -> tuple[ModelSpec, Preset | None]:
    """Return a spec with the image size of its preset, and the preset; None without a preset.

    Raises:
        UsageError: the extra is not installed, or the preset has no backbone of images.
        InputNotFoundError: the preset does not exist, or cannot be downloaded.
        CorruptDataError: a file of the preset is damaged.
    """
    if spec.preset is None:
        return spec, None
    check_extra("keras_hub", _EXTRA)
    preset = read_preset(spec.preset)
    return dataclasses.replace(spec, size_px=preset.size_px), preset


def read_preset(preset: str) -> Preset:
    """Return the backbone of images in a preset. Raises as `resolve_preset`."""
    saved = image_part(read_config(preset))
    shape = saved.config.get("image_shape")
    if shape is None:
        raise UsageError(
            "the backbone of the preset does not take images",
            path=escape_for_display(preset),
            expected="a backbone of images, such as ViTBackbone",
            got=escape_for_display(saved.class_name),
        )
    converter = _read_converter(preset)
    channels = converter or _Converter(scale=1 / 255)
    try:
        backbone = HubBackbone(
            class_name=saved.class_name,
            arguments=plain_arguments(saved),
            scale=_three(channels.scale, 1.0),
            offset=_three(channels.offset, 0.0),
        )
        backbone = msgspec.convert(msgspec.to_builtins(backbone), HubBackbone)
        default = None if None in shape[:2] else shape[:2]
        size_px = channels.image_size or msgspec.convert(default or (224, 224), _Sides)
    except (msgspec.ValidationError, TypeError) as error:
        raise UsageError(
            "the backbone of the preset has arguments that are not supported",
            path=escape_for_display(preset),
            expected="numbers, texts and lists",
            got=str(error),
        ) from error
    return Preset(backbone, size_px, converter is not None)


def plain_arguments(saved: SavedObject) -> dict[str, Any]:
    """Return the arguments of a backbone, without those that the run determines."""
    return {name: value for name, value in saved.config.items() if name not in _NOT_ARGUMENTS}


def image_part(saved: SavedObject) -> SavedObject:
    """Return the vision encoder of a backbone of images and texts, such as SigLIP; or the same."""
    encoder = saved.config.get("vision_encoder")
    return saved if encoder is None else msgspec.convert(encoder, SavedObject)


def read_config(preset: str) -> SavedObject:
    """Return the backbone in a preset. Raises as `resolve_preset`."""
    path = find_file(preset, _CONFIG)
    if path is None:
        raise UsageError(
            "not a preset of KerasHub",
            path=escape_for_display(preset),
            expected=f"a folder with {_CONFIG}, as save_to_preset writes it",
        )
    try:
        saved = _decode(path)
        image_part(saved)
    except msgspec.DecodeError as error:
        raise UsageError(
            "not a preset of KerasHub", path=str(path), got=str(error), hint=_CONVERT
        ) from error
    return saved


def find_file(preset: str, name: str) -> Path | None:
    """Return the path of a file of a preset; None if the preset does not have the file.

    A preset that is not a folder is a name or a handle of KerasHub, as in its `from_preset`.

    Raises:
        UsageError: the extra is not installed.
        InputNotFoundError: the preset does not exist, or cannot be downloaded.
    """
    if os.path.isdir(preset):  # noqa: PTH112 # Path.is_dir may raise
        path = Path(preset, name)
        return path if path.is_file() else None
    start_backend()
    known = require_extra("keras_hub", _EXTRA).models.Backbone.presets
    if "://" not in preset and preset not in known:
        raise InputNotFoundError("preset not found", path=preset, expected=_EXPECTED)
    from keras_hub.src.utils.preset_utils import get_file

    try:
        # The hubs print download progress to stdout, which is reserved for results.
        with redirect_stdout(sys.stderr):
            return Path(get_file(preset, name))
    except FileNotFoundError:
        return None
    except Exception as error:  # each hub raises its own exceptions
        raise InputNotFoundError(
            "KerasHub cannot download the preset",
            path=escape_for_display(preset),
            got=str(error).partition("\n")[0],
        ) from error


def _read_converter(preset: str) -> _Converter | None:
    path = find_file(preset, _CONVERTER)
    if path is None:
        return None
    try:
        found = _decode(path).config
        if "mean" in found and "variance" in found:  # presets of early versions
            deviations = [math.sqrt(each) for each in found["variance"]]
            scale = found.get("scale") or 1.0
            found["scale"] = [scale / each for each in deviations]
            pairs = zip(found["mean"], deviations, strict=True)
            found["offset"] = [-mean / deviation for mean, deviation in pairs]
            found["image_size"] = (found["height"], found["width"])
        return msgspec.convert(found, _Converter)
    except (msgspec.DecodeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise CorruptDataError(
            "not a valid image converter of KerasHub", path=str(path), got=str(error)
        ) from error


def _three(factors: float | list[float] | None, default: float) -> tuple[float, float, float]:
    """Return one number for each channel."""
    if isinstance(factors, list):
        red, green, blue = factors
        return red, green, blue
    one = default if factors is None else float(factors)
    return one, one, one


def _decode(path: Path) -> SavedObject:
    with path.open("rb") as file:
        content = file.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise msgspec.DecodeError(f"larger than {_LARGEST_BYTES:,} bytes")
    return decode_json(content, SavedObject)
