"""Networks with a backbone of KerasHub: preprocessing, backbone and a new head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import msgspec
from keras import layers

from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.runtime.extras import require_extra
from records.text.escaping import escape_for_display
from trainers.models.build import Network, add_head
from trainers.models.hub.preset import (
    WEIGHTS,
    SavedObject,
    find_file,
    image_part,
    plain_arguments,
    read_config,
)
from trainers.models.load import open_weights

if TYPE_CHECKING:
    from trainers.config import Architecture


def build(architecture: Architecture) -> Network:
    """Return the network from uint8 (batch, height, width, 3) to logits (batch, classes).

    The weights are random. The scale and the offset of the pixels are a layer of the network.

    Raises:
        UsageError: the extra is not installed, KerasHub cannot create the backbone, or the backbone
            does not have the pooling.
        CorruptDataError: the architecture has no backbone.
    """
    found = architecture.backbone
    if found is None:
        raise CorruptDataError("a model of KerasHub has no backbone", got=architecture.model)
    shape = architecture.shape.array_shape
    backbone = _create(SavedObject(found.class_name, {**found.arguments, "image_shape": shape}))
    outputs = backbone.output
    names = [*backbone.input] if isinstance(backbone.input, dict) else ["images"]
    if len(names) != 1 or len(getattr(outputs, "shape", ())) not in {2, 3, 4}:
        raise UsageError(
            f"{found.class_name} is not a backbone of images alone",
            expected="images as the only input, and one output",
            got=f"inputs {', '.join(names)}",
        )
    if architecture.pooling == "token" and not _has_class_token(backbone):
        raise UsageError(
            f"{found.class_name} has no class token",
            got="--pooling token",
            hint="use --pooling avg",
        )
    image = keras.Input(shape, dtype="uint8", name="image")
    pixels = layers.Rescaling([*found.scale], [*found.offset], dtype="float32")(image)
    features = backbone({names[0]: pixels} if isinstance(backbone.input, dict) else pixels)
    return add_head(image, backbone, features, architecture, name=found.class_name)


def load_preset(backbone: keras.Model, preset: str) -> None:
    """Set all weights of a backbone to those of its preset.

    Raises:
        InputNotFoundError: the preset has no weights, or they cannot be downloaded.
        UsageError: the weights do not fit the backbone.
        CorruptDataError: the file cannot be read, or refers to other files.
    """
    saved = read_config(preset)
    path = find_file(preset, WEIGHTS)
    if path is None:
        raise InputNotFoundError(
            "the preset has no weights in one file",
            path=escape_for_display(preset),
            expected=WEIGHTS,
            hint="call save_to_preset with max_shard_size=None, or use --weights none",
        )
    is_part = image_part(saved) is not saved
    donor = _create(saved) if is_part else backbone
    with open_weights(path) as _:
        try:
            donor.load_weights(path)
            if is_part:
                backbone.set_weights(donor.vision_encoder.get_weights())
        except (ValueError, KeyError) as error:
            raise UsageError(
                "the weights of the preset do not fit its backbone",
                path=str(path),
                got=str(error).partition("\n")[0].rstrip(":"),
                hint="omit --image-size: most transformers have one size of images",
            ) from error


def _create(saved: SavedObject) -> keras.Model:
    """Return a backbone of KerasHub, with random weights. Raises UsageError."""
    models = require_extra("keras_hub", "keras-hub").models
    kind = getattr(models, saved.class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, models.Backbone)):
        raise UsageError(
            "backbone not found in KerasHub",
            got=escape_for_display(saved.class_name),
            hint="install the version of keras-hub that wrote the preset",
        )
    arguments = plain_arguments(saved)
    if "image_shape" in saved.config:
        arguments["image_shape"] = tuple(saved.config["image_shape"])
    try:
        return kind(**{name: _create_part(value) for name, value in arguments.items()})
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise UsageError(
            f"KerasHub cannot create {saved.class_name}",
            got=str(error).partition("\n")[0],
            hint="check --image-size, and that keras-hub has the version that wrote the preset",
        ) from error


def _create_part(value: Any) -> Any:
    """Return an argument; the vision encoder and the text encoder of a backbone are backbones."""
    if isinstance(value, list):
        return [*map(_create_part, value)]
    return _create(msgspec.convert(value, SavedObject)) if isinstance(value, dict) else value


def _has_class_token(backbone: keras.Model) -> bool:
    """Return whether a sequence has more tokens than the image has patches."""
    patch = getattr(backbone, "patch_size", None)
    if patch is None or len(backbone.output.shape) != 3:
        return False
    height_px, width_px = (patch, patch) if isinstance(patch, int) else patch
    height, width, _ = backbone.image_shape
    return bool(backbone.output.shape[1] > (height // height_px) * (width // width_px))
