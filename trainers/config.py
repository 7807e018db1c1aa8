"""The configuration of a run, `config.json`.

The file holds everything that a prediction needs, except the weights. It is canonical JSON. Reading
checks it strictly, because a run folder may come from a third party.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from records.arguments import NotNegative, Positive
from records.errors import CorruptDataError, UsageError
from records.format.columns import ColumnName
from records.images import ImageOptions
from records.strict_json import decode_versioned, encode_canonical
from records.text.formatting import pluralize
from trainers.options import Fold, Part, Pixels, Pooling, TaskName, TrainOptions

FORMAT_VERSION = 9

Decoder = Literal[1, 2]
DECODER: Decoder = 2
"""The current version of `trainers.input.decode`: increased when bytes give different pixels."""


class ImageShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of the images that a model receives: uint8 (height_px, width_px, channels)."""

    height_px: Pixels
    width_px: Pixels
    channels: Literal[1, 3] = 3

    @property
    def array_shape(self) -> tuple[int, int, int]:
        """Return height, width and channels."""
        return self.height_px, self.width_px, self.channels

    @property
    def size_bytes(self) -> int:
        """Return the size of one image in bytes."""
        return self.height_px * self.width_px * self.channels


_LARGEST = 3.4e38
"""A bound of the numbers that float32 represents."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column of numbers that a regression model predicts, and the scale of its values.

    Attributes:
        name: the name of the column.
        mean: the mean of the column over the training images.
        deviation: the standard deviation of the column over the training images.
    """

    name: ColumnName
    mean: Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
    deviation: Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]


_Scalar = (
    None
    | bool
    | Annotated[int, msgspec.Meta(ge=-(2**16), le=2**16)]
    | Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
    | Annotated[str, msgspec.Meta(max_length=100)]
)
_List = Annotated[list[_Scalar], msgspec.Meta(max_length=1000)]
_Factor = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]


class HubBackbone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A backbone of KerasHub, and its preprocessing: pixel (0–255) × scale + offset.

    Attributes:
        class_name: the class in `keras_hub.models`.
        arguments: the arguments of the class, except the shape of the images and the data type.
        scale: the factor of each channel.
        offset: the number that is added to each channel.
    """

    class_name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9]{0,99}$")]
    arguments: dict[str, _Scalar | list[_Scalar | _List]]
    scale: tuple[_Factor, _Factor, _Factor]
    offset: tuple[_Factor, _Factor, _Factor]

    def __hash__(self) -> int:
        return hash(encode_canonical(self))


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters from which a network is built.

    Attributes:
        model: the name of a built-in or registered model, or `keras-hub:` and a preset.
        shape: the shape of the input images.
        classes: the number of classes; 1 if the model predicts a number.
        dropout: the dropout rate of a CNN; None means the default of the model.
        pooling: the pooling of the backbone's feature map before the head: avg, max or flatten.
        head_units: the number of units of a dense layer between the pooled features and the logits;
            0 means no dense layer.
        head_dropout: the dropout rate before the logits.
        l2: the factor of the L2 penalty on the kernels.
        task: the task that the network learns; `classification` in runs of format version 3.
        target: the column that the network predicts, if the task is `regression`.
        backbone: the backbone of a preset of KerasHub, which the run needs no more; None for other
            models.
    """

    model: str
    shape: ImageShape
    classes: Positive
    dropout: Part | None = None
    pooling: Pooling = "avg"
    head_units: NotNegative = 0
    head_dropout: Part = 0.0
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    task: TaskName = "classification"
    target: Target | None = None
    backbone: HubBackbone | None = None


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `config.json`.

    Attributes:
        format_version: the version of the file format.
        options: the options of the run.
        architecture: the architecture of the network.
        learning_rate: the learning rate of the main phase.
        images: the image options of the dataset, with which prediction normalizes image files.
        dataset: the location of the dataset, which `evaluate` uses by default.
        plan_digests: the plan digests of the dataset, one per generation.
        decoder: the version of the decoder for training, evaluation, prediction and export; 1 in
            runs of format version 2.
        choices: the choices of a recipe, each with its reason; empty without a recipe.
        time_limit_seconds: the time for the run, from its first step on; None means no limit.
        restarts: the steps at which the main phase ended before the run was extended. With a
            schedule, the learning rate starts again there.
    """

    format_version: int
    options: TrainOptions
    architecture: Architecture
    learning_rate: Annotated[float, msgspec.Meta(gt=0)]
    images: ImageOptions
    dataset: str
    plan_digests: tuple[str, ...]
    decoder: Decoder = 1
    choices: tuple[str, ...] = ()
    time_limit_seconds: Annotated[float, msgspec.Meta(ge=0, le=_LARGEST)] | None = None
    restarts: tuple[Positive, ...] = ()

    @property
    def shape(self) -> ImageShape:
        """Return the shape of the images that the model receives."""
        return self.architecture.shape

    @property
    def task(self) -> TaskName:
        """Return the task of the run."""
        return self.architecture.task


def encode_config(config: RunConfig) -> bytes:
    """Return the canonical bytes of a configuration."""
    return encode_canonical(config)


def decode_config(content: bytes, *, path: str) -> RunConfig:
    """Decode a configuration.

    Raises:
        CorruptDataError: the bytes are invalid, or of a later version; the message contains
            `path`.
    """
    config = decode_versioned(
        content, RunConfig, version=FORMAT_VERSION, oldest=1, what="a run configuration", path=path
    )
    try:
        config.images.validate()
        if config.options.fold is not None:
            Fold.parse(config.options.fold)
    except UsageError as error:
        raise CorruptDataError(error.what, path=path, got=error.got) from error
    if [*config.restarts] != sorted({*config.restarts}):
        raise CorruptDataError("restarts must increase", path=path, got=str(config.restarts))
    architecture = config.architecture
    is_regression = architecture.task == "regression"
    if is_regression != (architecture.target is not None) or (
        is_regression and architecture.classes != 1
    ):
        raise CorruptDataError(
            "the configuration contradicts itself in its task",
            path=path,
            got=f"{architecture.task}, {pluralize(architecture.classes, 'output')}, "
            f"{'no ' * (architecture.target is None)}target",
        )
    return config
