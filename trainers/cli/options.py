"""Training options in groups, and the types of their values.

Each option has the name of a field of `TrainOptions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click
import msgspec
from click.shell_completion import CompletionItem

from records.cli.option_groups import option_group
from records.errors import UsageError
from trainers.augment.spec import parse_augmentation
from trainers.models import MODELS, find_model, is_reference
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
            self.fail(
                f"{value!r} is not a size: write 180, or 180x240 for height x width", param, ctx
            )
        return int(sides[1]), int(sides[2] or sides[1])


class ModelName(click.ParamType[str]):
    """The name of a model, or `package.module:builder`."""

    name = "NAME"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """See `click.ParamType.convert`."""
        if is_reference(str(value)):
            return str(value)
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
    """A number of layers, or `all`."""

    name = "N|all"

    def convert(self, value: Any, param: Any, ctx: Any) -> object:
        """See `click.ParamType.convert`."""
        if value == "all" or isinstance(value, int):
            return value
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number of layers nor `all`", param, ctx)
        return int(value)


class Augment(click.ParamType[Augmentation]):
    """The value of `--augment`."""

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
    """Return a flag, and its option with the default of its field."""
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

_GROUPS: dict[str, tuple[tuple[str, Callable[..., Any]], ...]] = {
    "Model": (
        _option(
            "--model",
            ModelName(),
            "The model; docs/models.md lists them, and package.module:builder is your own.",
        ),
        _option(
            "--mode",
            Mode,
            "Train from random weights, only a new head, or also layers of the backbone.",
        ),
        _option(
            "--weights",
            None,
            "Of the backbone: imagenet, none, or a file.",
            metavar="NAME|PATH",
        ),
        _option(
            "--unfreeze",
            Unfreeze(),
            "Number of last layers of the backbone that finetune trains.",
            metavar="N|all",
        ),
        _option("--pooling", Pooling, "From the feature map of the backbone to the head."),
        _option("--head-units", _NOT_NEGATIVE, "Dense layer in the head; 0 is none.", metavar="N"),
        _option("--head-dropout", _PART, "Dropout before the logits.", metavar="F"),
        _option(
            "--head-epochs", _NOT_NEGATIVE, "Epochs for the head before finetune.", metavar="N"
        ),
        _option("--features", None, "A feature store of featurize.", metavar="STORE"),
        _option("--dropout", _PART, "Of a CNN; by default its own.", metavar="F"),
        _option("--l2", click.FloatRange(0), "Weight decay as a loss term.", metavar="F"),
    ),
    "Input": (
        _option(
            "--image-size",
            ImageSize(),
            "Height and width; by default the dataset's or the model's.",
        ),
        _option("--augment", Augment(), "Such as flip,rotate=20,zoom=0.2,crop."),
        _option("--batch-size", _POSITIVE, "Images per step.", metavar="N"),
        _option("--cache", Cache, "Keep decoded images in memory, or on disk for later runs."),
        _option(
            "--validation-split",
            None,
            "The split to validate on; by default validation, or a tenth of train.",
            metavar="NAME",
        ),
        _option(
            "--skip-bad", _NOT_NEGATIVE, "Damaged records to skip before failing.", metavar="N"
        ),
    ),
    "Optimization": (
        _option("--epochs", _POSITIVE, "Passes over the training images.", metavar="N"),
        _option("--steps", _POSITIVE, "Number of batches, instead of --epochs.", metavar="N"),
        _option("--optimizer", click.Choice(OPTIMIZERS), "With Keras defaults."),
        _option("--learning-rate", float, "By default that of model and mode.", metavar="LR"),
        _option("--schedule", Schedule, "Of the learning rate, over all steps."),
        _option("--warmup-steps", _NOT_NEGATIVE, "Steps of a linear warm-up.", metavar="N"),
        _option("--label-smoothing", _PART, "Probability spread over all classes.", metavar="F"),
        _option("--class-weights", ClassWeights, "Balanced: rare classes weigh more."),
        _option(
            "--early-stopping",
            _POSITIVE,
            "Stop after N epochs without a lower validation loss.",
            metavar="N",
        ),
        _option("--seed", click.IntRange(0, 2**32 - 1), "Of order and weights.", metavar="N"),
        _option("--precision", Precision, "Auto is mixed_bfloat16 on GPUs that support it."),
        _option("--jit/--no-jit", None, "Compile with XLA; by default Keras decides."),
    ),
    "Checkpoints and logs": (
        _option("--checkpoint-steps", _POSITIVE, "Steps between checkpoints.", metavar="N"),
        _option(
            "--checkpoint-minutes",
            click.FloatRange(0, min_open=True),
            "Minutes between checkpoints.",
            metavar="N",
        ),
        _option("--keep-checkpoints", _POSITIVE, "Number of checkpoints to keep.", metavar="N"),
        _option("--tensorboard", None, "Also write TensorBoard logs.", is_flag=True),
    ),
}

run_model_option = click.option(
    "--model",
    metavar="REFERENCE",
    help="The model of RUN, if it is your own, as package.module:builder.",
)


def train_options(*flags: str) -> Callable[[F], F]:
    """Return a decorator that adds some training options, or all, in groups."""

    def add(command: F) -> F:
        for title, options in reversed(_GROUPS.items()):
            chosen = [option for flag, option in options if not flags or flag in flags]
            command = option_group(title, *chosen)(command)
        return command

    return add


def given_options(context: click.Context) -> dict[str, Any]:
    """Return the options that the user gave, as they are in the configuration of a run."""
    default = click.core.ParameterSource.DEFAULT
    return {
        name: msgspec.to_builtins(context.params[name])
        for name in msgspec.structs.asdict(TrainOptions())
        if context.get_parameter_source(name) is not default
    }
