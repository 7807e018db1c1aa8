"""Training options in groups.

Each option is named after a field of `TrainOptions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from records.arguments import NotNegative, Positive
from records.cli.option_groups import option_group
from records.cli.params import Count, Fraction, Location, PositiveNumber
from trainers.cli.params import Augment, ImageSize, ModelName, Unfreeze, Weights
from trainers.options import (
    OPTIMIZERS,
    Augmentation,
    Cache,
    LoggerName,
    LoraRank,
    Mode,
    Pooling,
    Precision,
    Schedule,
    Seed,
    TrainOptions,
    UnfreezeEpochs,
    Units,
)

F = TypeVar("F", bound=Callable[..., Any])


def _option(
    flag: str,
    kind: Any = None,
    help: str = "",  # noqa: A002
    *,
    shown: str | None = None,
    **more: Any,
) -> tuple[str, Callable[[F], F]]:
    """Return a flag and its option, with the default of its field, or `shown` as its text."""
    name = flag.strip("-").partition("/")[0].replace("-", "_")
    default = getattr(TrainOptions(), name)
    show = default is not None and not isinstance(default, Augmentation | bool)
    choices = get_args(kind) if not isinstance(kind, click.ParamType) else ()
    return flag, click.option(
        flag,
        name,
        type=click.Choice(choices) if choices else kind,
        default=default,
        show_default=shown or show,
        help=help,
        **more,
    )


_PART = Fraction(zero=True)
_NOT_NEGATIVE = Count(NotNegative)
_POSITIVE = Count(Positive)

_GROUPS: dict[str, tuple[tuple[str, Callable[..., Any]], ...]] = {
    "Model": (
        _option(
            "--target",
            None,
            "Column of the dataset with a number per image, which the model predicts instead of"
            " classes.",
            metavar="NAME",
        ),
        _option(
            "--model",
            ModelName(),
            "Name of a built-in model, keras-hub:PRESET for a backbone of KerasHub, or "
            "package.module:builder for your own model.",
        ),
        _option(
            "--mode",
            Mode,
            "Layers to train: all (scratch), a new head (transfer), head and backbone (finetune).",
        ),
        _option(
            "--weights",
            Location("imagenet", "preset", "none"),
            "Initial weights of the backbone: imagenet, preset, none, a weights file, or a run "
            "folder.",
            metavar="NAME|PATH",
        ),
        _option(
            "--unfreeze",
            Unfreeze(),
            "Number of layers at the end of the backbone that finetune trains.",
            metavar="N|all",
        ),
        _option("--pooling", Pooling, "Pooling of the backbone's feature map or tokens."),
        _option(
            "--head-units",
            Count(Units),
            "Number of units of a dense layer in the head; 0 means no dense layer.",
            metavar="N",
        ),
        _option("--head-dropout", _PART, "Dropout rate before the logits.", metavar="F"),
        _option(
            "--head-epochs",
            _NOT_NEGATIVE,
            "Number of epochs in which finetune trains only the head, before the backbone.",
            metavar="N",
        ),
        _option(
            "--unfreeze-epochs",
            Count(UnfreezeEpochs),
            "Number of epochs in which finetune unfreezes the backbone gradually, from the end on.",
            metavar="N",
        ),
        _option(
            "--lora",
            Count(LoraRank),
            "Rank of matrices that finetune trains in the attention layers, instead of the layers.",
            metavar="RANK",
        ),
        _option("--features", Location(), "Feature store that featurize wrote.", metavar="STORE"),
        _option(
            "--dropout",
            _PART,
            "Dropout rate of a CNN; each CNN has its own default.",
            metavar="F",
        ),
        _option(
            "--l2", PositiveNumber(zero=True), "Factor of the L2 penalty in the loss.", metavar="F"
        ),
    ),
    "Input": (
        _option(
            "--image-size",
            ImageSize(),
            "Height and width of the input. Default: the size of convert --resize; without it, the "
            "size of the images if it is the same for all and at most the default of the model; "
            "otherwise the default of the model.",
        ),
        _option(
            "--augment",
            Augment(),
            "Random changes of training images, such as flip,rotate=20,crop or randaugment,mixup.",
            shown="none; shift=0.07 with cnn-bn",
        ),
        _option(
            "--batch-size",
            _POSITIVE,
            "Number of images per step.",
            shown="32; 64 with cnn-bn",
            metavar="N",
        ),
        _option(
            "--cache",
            Cache,
            "Data to keep between epochs: decoded images (memory, disk), or copies of shards.",
        ),
        _option(
            "--cache-limit-gb",
            PositiveNumber(),
            "Maximum size of the copies of shards of all datasets; the oldest are removed.",
            metavar="GB",
        ),
        _option(
            "--validation-split",
            None,
            "Split to validate on; by default validation if it exists, else a tenth of train.",
            metavar="NAME",
        ),
        _option(
            "--fold",
            None,
            "Fold of train to validate on, such as 2/5; the run trains on the other folds.",
            metavar="K/N",
        ),
        _option(
            "--skip-bad",
            _NOT_NEGATIVE,
            "Maximum number of damaged records that are skipped; with more, the run fails.",
            metavar="N",
        ),
    ),
    "Optimization": (
        _option("--epochs", _POSITIVE, "Number of passes over the training images.", metavar="N"),
        _option(
            "--steps",
            _POSITIVE,
            "Number of batches to train on, instead of --epochs.",
            metavar="N",
        ),
        _option(
            "--optimizer",
            click.Choice(OPTIMIZERS),
            "Optimizer, with the Keras defaults of its settings.",
        ),
        _option(
            "--learning-rate",
            float,
            "Learning rate, with a schedule the highest; the default depends on model and mode.",
            metavar="LR",
        ),
        _option(
            "--layer-decay",
            Fraction(one=True),
            "Factor from the learning rate of each group of layers to that of the group before it,"
            " in finetune.",
            metavar="F",
        ),
        _option(
            "--schedule",
            Schedule,
            "Schedule of the learning rate: constant, a fall to 0 (cosine), or a rise and a fall.",
            shown="depends on model and mode",
        ),
        _option("--warmup-steps", _NOT_NEGATIVE, "Number of linear warm-up steps.", metavar="N"),
        _option(
            "--label-smoothing",
            _PART,
            "Fraction of the probability that is spread over all classes; not with --target.",
            metavar="F",
        ),
        _option(
            "--class-weights",
            Weights(),
            "Class weights in the loss; balanced: rare classes weigh more; FILE.toml: a weight for"
            " each class; not with --target.",
            metavar="none|balanced|FILE",
        ),
        _option(
            "--balanced",
            None,
            "Use images of all classes equally often; those of rare classes repeat.",
            is_flag=True,
        ),
        _option(
            "--ema",
            _PART,
            "Validate and keep an average of the weights, with this momentum, such as 0.999.",
            metavar="F",
        ),
        _option(
            "--early-stopping",
            _POSITIVE,
            "Stop after N epochs without a lower validation loss.",
            metavar="N",
        ),
        _option(
            "--seed",
            Count(Seed),
            "Seed of image order, initial weights and augmentation.",
            metavar="N",
        ),
        _option(
            "--precision",
            Precision,
            "Precision of the computation; auto is mixed_bfloat16 on GPUs that support it.",
        ),
        _option("--jit/--no-jit", None, "Compile with XLA; by default Keras decides."),
    ),
    "Checkpoints and logs": (
        _option(
            "--checkpoint-steps", _POSITIVE, "Number of steps between checkpoints.", metavar="N"
        ),
        _option(
            "--checkpoint-minutes",
            PositiveNumber(),
            "Number of minutes between checkpoints.",
            metavar="N",
        ),
        _option("--keep-checkpoints", _POSITIVE, "Number of checkpoints to keep.", metavar="N"),
        _option(
            "--log",
            LoggerName,
            "Logger that also records the metrics; may be given several times.",
            multiple=True,
        ),
        _option("--tensorboard", None, "The same as --log tensorboard.", is_flag=True),
    ),
}

run_model_option = click.option(
    "--model",
    metavar="REFERENCE",
    help="Model of RUN as package.module:builder, for a custom model.",
)


def skip_bad_option(effect: str) -> Callable[[F], F]:
    """Return the decorator for `--skip-bad`; `effect` is what happens to a damaged record."""
    return click.option(
        "--skip-bad",
        type=Count(NotNegative),
        default=0,
        show_default=True,
        metavar="N",
        help=f"Maximum number of damaged records that {effect}; with more, the command fails.",
    )


def train_options(*flags: str) -> Callable[[F], F]:
    """Return a decorator that adds the options of these flags, or all options, in groups."""

    def add(command: F) -> F:
        for title, options in reversed(_GROUPS.items()):
            chosen = [option for flag, option in options if not flags or flag in flags]
            command = option_group(title, *chosen)(command)
        return command

    return add
