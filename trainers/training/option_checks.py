"""Which options go together: what a training cannot mean is said before it starts. Pure."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING

from records.errors import UsageError

if TYPE_CHECKING:
    from trainers.models import ModelSpec
    from trainers.options import TrainOptions

_HEAD_LEARNING_RATE = 1e-3
_FINETUNE_LEARNING_RATE = 1e-5


def check_options(options: TrainOptions, spec: ModelSpec) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: naming the two, and what to do.
    """
    rate = options.learning_rate
    if rate is not None and not 0 < rate < math.inf:
        raise UsageError("a learning rate is larger than 0", got=rate)
    if options.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "TensorBoard is not installed",
            got="--tensorboard",
            hint='pip install "shardmill[tensorboard]"',
        )
    _check_base(options, spec)
    _check_input(options)


def choose_weights(options: TrainOptions) -> str | None:
    """Whose weights the base begins with: `imagenet`, a path, or None for random ones."""
    if options.mode == "scratch" or options.weights == "none":
        return None
    return options.weights or "imagenet"


def choose_learning_rates(options: TrainOptions, spec: ModelSpec) -> tuple[float, float]:
    """The learning rate of the training itself, and of a head that is trained before it."""
    own = {
        "scratch": spec.learning_rate,
        "transfer": _HEAD_LEARNING_RATE,
        "finetune": _FINETUNE_LEARNING_RATE,
    }[options.mode]
    return options.learning_rate or own, _HEAD_LEARNING_RATE


def reads_features(options: TrainOptions) -> bool:
    """Whether a head alone trains from features: not where an image is never the same again."""
    return options.mode != "scratch" and options.augment == type(options.augment)()


def _check_base(options: TrainOptions, spec: ModelSpec) -> None:
    if options.mode == "scratch" and options.weights not in {None, "none"}:
        raise UsageError(
            "--mode scratch begins with random weights",
            got=f"--weights {options.weights}",
            hint="use --mode transfer or finetune",
        )
    if options.mode != "scratch" and not spec.has_base:
        raise UsageError(
            f"{options.model} has no weights to begin with",
            got=f"--mode {options.mode}",
            hint="choose another model, such as mobilenet_v2, or --mode scratch",
        )
    if not spec.has_base and (options.head_units or options.head_dropout):
        raise UsageError(
            f"{options.model} has no head of its own",
            got="--head-units or --head-dropout",
            hint="these are for models such as vgg16",
        )
    if spec.has_base and options.dropout is not None:
        raise UsageError(
            f"--dropout is not for {options.model}", hint="use --head-dropout for its head"
        )
    if options.mode != "finetune" and options.unfreeze != "all":
        raise UsageError(
            "only finetune trains layers of the base", got=f"--mode {options.mode}",
            hint="leave out --unfreeze, or use --mode finetune",
        )  # fmt: skip


def _check_input(options: TrainOptions) -> None:
    from_features = options.mode == "transfer" and reads_features(options)
    if options.features is not None and not from_features:
        raise UsageError(
            "a feature store is for --mode transfer without --augment", got="--features"
        )
    if options.cache != "none" and from_features:
        raise UsageError(
            "no images are decoded again in --mode transfer without --augment",
            got=f"--cache {options.cache}",
            hint="leave it out: features are kept by themselves",
        )
    if options.cache != "none" and options.augment.crop < 1:
        raise UsageError(
            "a random crop is made as an image is decoded, so decoded images cannot be kept",
            got=f"--cache {options.cache} with --augment crop",
            hint="leave out one of them",
        )
    if options.skip_bad and (options.cache == "disk" or from_features):
        raise UsageError(
            "what is kept for later runs is made of whole shards",
            got=f"--skip-bad {options.skip_bad}",
            hint="use it with --cache none or memory, or convert the images again",
        )
