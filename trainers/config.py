"""The configuration of a run, `config.json`: everything that predicting needs to know but weights.

Canonical JSON, strictly checked when read: a run folder may come from anybody.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from records.errors import CorruptDataError, UsageError
from records.images import ImageOptions
from records.strict_json import decode_versioned, encode_canonical
from trainers.options import NotNegative, Part, Pixels, Pooling, Positive, TrainOptions

FORMAT_VERSION = 2


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


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a network is built from; with weights, all that predicting needs of it.

    Args:
        model: a name in `trainers.models.MODELS`.
        shape: what it is fed.
        classes: how many.
        dropout: of a convolutional network; None is what it is defined with.
        pooling: how the last feature map of a network with a base becomes its head's input.
        head_units: of a dense layer between base and logits; 0 is none.
        head_dropout: before the logits.
        l2: the weight of the squared kernels in the loss.
    """

    model: str
    shape: ImageShape
    classes: Positive
    dropout: Part | None = None
    pooling: Pooling = "avg"
    head_units: NotNegative = 0
    head_dropout: Part = 0.0
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `config.json`.

    Args:
        format_version: of this file.
        options: what was asked for.
        architecture: what the network is built from.
        learning_rate: the one used.
        images: how the dataset's images were made; files to predict are made the same way.
        dataset: where the dataset was, for `evaluate`; nothing else looks there.
        plan_digests: which images the dataset had, a digest a generation.
    """

    format_version: int
    options: TrainOptions
    architecture: Architecture
    learning_rate: Annotated[float, msgspec.Meta(gt=0)]
    images: ImageOptions
    dataset: str
    plan_digests: tuple[str, ...]

    @property
    def shape(self) -> ImageShape:
        """What the model is fed."""
        return self.architecture.shape


def encode_config(config: RunConfig) -> bytes:
    """The canonical bytes of a configuration."""
    return encode_canonical(config)


def decode_config(content: bytes, *, path: str) -> RunConfig:
    """A configuration from its bytes.

    Raises:
        CorruptDataError: it is not one, or a later version wrote it; `path` is in the message.
    """
    config = decode_versioned(
        content, RunConfig, version=FORMAT_VERSION, what="a run's configuration", path=path
    )
    try:
        config.images.validate()
    except UsageError as error:
        raise CorruptDataError(error.what, path=path, got=error.got) from error
    return config
