"""What options can be typed as, beyond click's own kinds.

The options of a training, in groups; each has the name of a field of `TrainOptions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click
import msgspec
from click.shell_completion import CompletionItem

from records.errors import UsageError
from trainers.augment.spec import parse_augmentation
from trainers.models import MODELS, find_model
from trainers.options import (
    OPTIMIZERS,
    Augmentation,
    Cache,
    ClassWeights,
    Mode,
    Pooling,
    Precision,
    Schedule,
    TrainOptions,
)

_SIZE = re.compile(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?")


class ImageSize(click.ParamType[tuple[int, int]]):
    """`H` or `HxW`, as (height, width) in pixels."""

    name = "H[xW]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """See `click.ParamType.convert`."""
        if isinstance(value, tuple):
            return value
        sides = _SIZE.fullmatch(str(value))
        if sides is None:
            self.fail(f"{value!r} is no size: write 180, or 180x240 for height x width", param, ctx)
        return int(sides[1]), int(sides[2] or sides[1])


class ModelName(click.ParamType[str]):
    """A name in the table of models, too many to list them in a line."""

    name = "NAME"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """See `click.ParamType.convert`."""
        try:
            find_model(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return str(value)

    def shell_complete(self, _ctx: Any, _param: Any, incomplete: str) -> list[CompletionItem]:
        """See `click.ParamType.shell_complete`."""
        names = (name for name in MODELS if name.startswith(incomplete))
        return [CompletionItem(name) for name in names]


class Unfreeze(click.ParamType[object]):
    """How many layers, or `all`."""

    name = "N|all"

    def convert(self, value: Any, param: Any, ctx: Any) -> object:
        """See `click.ParamType.convert`."""
        if value == "all" or isinstance(value, int):
            return value
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number of layers nor `all`", param, ctx)
        return int(value)


class Augment(click.ParamType[Augmentation]):
    """The words of `--augment`."""

    name = "WORDS"

    def convert(self, value: Any, param: Any, ctx: Any) -> Augmentation:
        """See `click.ParamType.convert`."""
        if isinstance(value, Augmentation):
            return value
        try:
            return parse_augmentation(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


F = TypeVar("F", bound=Callable[..., Any])


def _option(
    flag: str,
    kind: Any = None,
    help: str = "",  # noqa: A002
    **more: Any,
) -> tuple[str, Callable[[F], F]]:
    """A flag, and its option, whose default is its field's; shown where it says something."""
    name = flag.strip("-").partition("/")[0].replace("-", "_")
    default = getattr(TrainOptions(), name)
    show = default is not None and not isinstance(default, Augmentation | bool)
    choices = get_args(kind) if not isinstance(kind, click.ParamType) else ()
    return flag, click.option(
        flag,
        name,
        type=click.Choice(choices) if choices else kind,
        default=default,
        show_default=show,
        help=help,
        **more,
    )


_PART = click.FloatRange(0, 1, max_open=True)
_NOT_NEGATIVE = click.IntRange(0)
_POSITIVE = click.IntRange(1)

_OPTIONS = (
    _option("--model", ModelName(), "What to train; docs/models.md lists them."),
    _option(
        "--mode",
        Mode,
        "Train all of it from random weights, a new head alone, or layers of the base too.",
    ),
    _option("--weights", None, "The base's: imagenet, none, or a file.", metavar="NAME|PATH"),
    _option(
        "--unfreeze",
        Unfreeze(),
        "How many last layers of the base finetune trains.",
        metavar="N|all",
    ),
    _option("--pooling", Pooling, "From the base's feature map to its head."),
    _option("--head-units", _NOT_NEGATIVE, "A dense layer in the head; 0 is none.", metavar="N"),
    _option("--head-dropout", _PART, "Dropout before the logits.", metavar="F"),
    _option("--head-epochs", _NOT_NEGATIVE, "For the head alone, before finetune.", metavar="N"),
    _option("--features", None, "A feature store made by featurize.", metavar="STORE"),
    _option(
        "--image-size", ImageSize(), "Height and width; otherwise the dataset's, or the model's."
    ),
    _option("--augment", Augment(), "Such as flip,rotate=20,zoom=0.2,crop."),
    _option("--dropout", _PART, "Of a convolutional network; otherwise its own.", metavar="F"),
    _option("--l2", click.FloatRange(0), "Weight of the squared kernels in the loss.", metavar="F"),
    _option("--label-smoothing", _PART, "Probability spread over all classes.", metavar="F"),
    _option("--class-weights", ClassWeights, "Balanced: rare classes weigh more."),
    _option("--optimizer", click.Choice(OPTIMIZERS), "With Keras's defaults."),
    _option("--learning-rate", float, "Otherwise the model's and the mode's own.", metavar="LR"),
    _option("--schedule", Schedule, "Of the learning rate, over all steps."),
    _option("--warmup-steps", _NOT_NEGATIVE, "Steps in which it rises from 0.", metavar="N"),
    _option(
        "--early-stopping",
        _POSITIVE,
        "Stop after N epochs without a lower validation loss.",
        metavar="N",
    ),
    _option("--precision", Precision, "Auto is mixed_bfloat16 on GPUs made for it."),
    _option("--jit/--no-jit", None, "Compile by XLA; otherwise Keras decides."),
    _option("--epochs", _POSITIVE, "", metavar="N"),
    _option("--steps", _POSITIVE, "Batches to train on, instead of --epochs.", metavar="N"),
    _option("--batch-size", _POSITIVE, "", metavar="N"),
    _option("--seed", click.IntRange(0, 2**32 - 1), "", metavar="N"),
    _option("--cache", Cache, "Where decoded images are kept; on disk, also for later runs."),
    _option(
        "--validation-split",
        None,
        "What to validate on; otherwise validation, or a tenth of train kept aside.",
        metavar="NAME",
    ),
    _option("--checkpoint-steps", _POSITIVE, "Steps between checkpoints.", metavar="N"),
    _option(
        "--checkpoint-minutes",
        click.FloatRange(0, min_open=True),
        "Minutes between checkpoints.",
        metavar="N",
    ),
    _option("--keep-checkpoints", _POSITIVE, "How many.", metavar="N"),
    _option("--skip-bad", _NOT_NEGATIVE, "Damaged records to go on past.", metavar="N"),
    _option("--tensorboard", None, "Write TensorBoard's logs too.", is_flag=True),
)


def train_options(*flags: str) -> Callable[[F], F]:
    """Gives a command some of them, or all, in the order of above."""

    def add(command: F) -> F:
        for flag, option in reversed(_OPTIONS):
            if not flags or flag in flags:
                command = option(command)
        return command

    return add


def given_options(context: click.Context) -> dict[str, Any]:
    """What was typed, by the names of fields, as it would stand in a run's configuration."""
    default = click.core.ParameterSource.DEFAULT
    return {
        name: msgspec.to_builtins(context.params[name])
        for name in msgspec.structs.asdict(TrainOptions())
        if context.get_parameter_source(name) is not default
    }
