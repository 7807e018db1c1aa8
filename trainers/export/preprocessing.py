"""Input and output of an exported model, `preprocessing.json`.

The file has everything that a program needs to prepare an image file as `predict` does, and to
understand the output of the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from records.strict_json import encode_canonical
from trainers.tasks import task_of

if TYPE_CHECKING:
    from trainers.config import RunConfig

PREPROCESSING = "preprocessing.json"
_FORMAT_VERSION = 1
_JPEG_RATIOS = (1, 2, 4, 8)
_ANTIALIAS_FROM = 2

OutputKind = Literal["probabilities", "independent probabilities", "value"]


class ModelInput(msgspec.Struct, frozen=True):
    """The pixels that a model receives: uint8 (batch, height_px, width_px, channels).

    Attributes:
        height_px: the height.
        width_px: the width.
        channels: 3 for red, green and blue, 1 for grey.
        batch: the number of images per call; None means any number.
        name: the name of the input.
        dtype: the type of a sample, from 0 to 255. The model itself scales the samples.
    """

    height_px: int
    width_px: int
    channels: int
    batch: int | None
    name: str = "image"
    dtype: str = "uint8"


class Normalization(msgspec.Struct, frozen=True):
    """The changes of an image file before it is decoded for the model: those of `convert`.

    Attributes:
        resize: the width and height to which images are resized with the antialiased bilinear
            filter of Pillow; None keeps the size.
        fit: the method for images of another aspect ratio: `stretch`, `crop` or `pad`.
        background: the colour under transparent pixels and around padded images, `RRGGBB`.
        channels: 1 if all images become grey; otherwise 3.
        store: the format in which a changed image is stored: `source` (JPEG files as JPEG, other
            files losslessly), `jpeg`, or `png` or `raw`, which are lossless.
        jpeg_quality: the quality of JPEG, without chroma subsampling.
        scaled_decode: whether a JPEG file that is at least twice as large as `resize` is decoded at
            1/2, 1/4 or 1/8 of its size first.
    """

    resize: tuple[int, int] | None
    fit: str
    background: str
    channels: int
    store: str
    jpeg_quality: int
    scaled_decode: bool


class Resize(msgspec.Struct, frozen=True):
    """The change of a normalized image to the size of the input; the result is rounded to uint8.

    Attributes:
        antialias_from: the factor from which a larger image is resized with antialiasing, if both
            of its sides are larger by this factor; None means never.
        jpeg_ratios: the fractions of its size, 1/1 to 1/8, at which a JPEG file is decoded: the
            smallest that is not below the input.
        method: the filter.
    """

    antialias_from: int | None
    jpeg_ratios: tuple[int, ...]
    method: str = "bilinear"


class ModelOutput(msgspec.Struct, frozen=True):
    """The output of a model: float32 (batch, size).

    Attributes:
        name: the name of the output.
        size: the number of classes, or 1.
        kind: `probabilities` that add up to 1, `independent probabilities`, or `value`.
        dtype: the type of a number.
    """

    name: str
    size: int
    kind: OutputKind
    dtype: str = "float32"


class Preprocessing(msgspec.Struct, frozen=True):
    """The content of `preprocessing.json`.

    Attributes:
        format_version: the version of the file format.
        task: the task of the run.
        input: the input of the model.
        normalization: the changes of an image file before it is decoded for the model.
        resize: the change of a normalized image to the size of the input.
        output: the output of the model.
    """

    format_version: int
    task: str
    input: ModelInput
    normalization: Normalization
    resize: Resize
    output: ModelOutput


def describe_preprocessing(config: RunConfig, batch: int | None) -> Preprocessing:
    """Return the preprocessing of a run; `batch` is the number of images per call, or None."""
    shape, images = config.shape, config.images.for_prediction
    is_scaled = config.decoder > 1
    return Preprocessing(
        _FORMAT_VERSION,
        config.task,
        ModelInput(shape.height_px, shape.width_px, shape.channels, batch),
        Normalization(
            images.resize,
            images.fit,
            images.background,
            images.channels,
            images.store,
            images.jpeg_quality,
            images.scaled_decode is True,
        ),
        Resize(_ANTIALIAS_FROM if is_scaled else None, _JPEG_RATIOS if is_scaled else (1,)),
        ModelOutput(output_name(config), config.architecture.classes, _output_kind(config)),
    )


def encode_preprocessing(preprocessing: Preprocessing) -> bytes:
    """Return the content of `preprocessing.json`."""
    return encode_canonical(preprocessing)


def output_name(config: RunConfig) -> str:
    """Return the name of the output of an exported model."""
    return "scores" if config.architecture.target is None else "value"


def _output_kind(config: RunConfig) -> OutputKind:
    task = task_of(config)
    if not task.has_classes:
        return "value"
    return "probabilities" if task.is_exclusive else "independent probabilities"
