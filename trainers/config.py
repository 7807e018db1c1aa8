"""The configuration of a run, `config.json`: everything that predicting needs to know but weights.

Canonical JSON, strictly checked when read: a run folder may come from anybody.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from records.errors import DamagedError, UsageError
from records.images import ImageOptions
from records.versioned_json import decode_versioned, encode_canonical

FORMAT_VERSION = 1

Cache = Literal["none", "memory", "disk"]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=65_500)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class ImageShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model is fed: uint8 of shape (height_px, width_px, channels)."""

    height_px: Pixels
    width_px: Pixels
    channels: Literal[1, 3] = 3

    @property
    def array_shape(self) -> tuple[int, int, int]:
        """As arrays have it: height, width, channels."""
        return self.height_px, self.width_px, self.channels

    @property
    def size_bytes(self) -> int:
        """The bytes of one image."""
        return self.height_px * self.width_px * self.channels


class TrainOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a training is asked to do.

    Args:
        model: a name in `trainers.models.MODELS`.
        epochs: how often to go through the training images.
        batch_size: images a step.
        image_size: (height, width) in pixels; None leaves it to the dataset and the model.
        learning_rate: Adam's; None is the model's own.
        seed: decides the order of the images and the first weights.
        cache: where decoded images are kept between epochs.
        validation_split: the split to validate on; None is `validation`, or a tenth of `train`.
    """

    model: str = "cnn"
    epochs: Positive = 10
    batch_size: Positive = 32
    image_size: tuple[Pixels, Pixels] | None = None
    learning_rate: float | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    cache: Cache = "none"
    validation_split: str | None = None


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `config.json`.

    Args:
        format_version: of this file.
        options: what was asked for.
        shape: what the model is fed.
        learning_rate: the one used.
        images: how the dataset's images were made; files to predict are made the same way.
        dataset: where the dataset was, for `evaluate`; nothing else looks there.
        plan_digests: which images the dataset had, a digest a generation.
    """

    format_version: int
    options: TrainOptions
    shape: ImageShape
    learning_rate: Annotated[float, msgspec.Meta(gt=0)]
    images: ImageOptions
    dataset: str
    plan_digests: tuple[str, ...]


def encode_config(config: RunConfig) -> bytes:
    """The canonical bytes of a configuration."""
    return encode_canonical(config)


def decode_config(content: bytes, *, path: str) -> RunConfig:
    """A configuration from its bytes.

    Raises:
        DamagedError: it is not one, or a later version wrote it; `path` is in the message.
    """
    config = decode_versioned(
        content, RunConfig, version=FORMAT_VERSION, what="a run's configuration", path=path
    )
    try:
        config.images.validate()
    except UsageError as error:
        raise DamagedError(error.what, path=path, got=error.got) from error
    return config
