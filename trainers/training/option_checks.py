"""Checks for conflicting training options, and defaults that depend on options."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from records.errors import UsageError
from records.runtime.extras import require_extra

if TYPE_CHECKING:
    from trainers.models import ModelSpec
    from trainers.options import TrainOptions
    from trainers.tasks import Task

_HEAD_LEARNING_RATE = 1e-3
_FINETUNE_LEARNING_RATE = 1e-5


def check_options(options: TrainOptions, spec: ModelSpec) -> None:
    """Check that the options do not conflict. Raises UsageError."""
    rate = options.learning_rate
    if rate is not None and not 0 < rate < math.inf:
        raise UsageError("the learning rate must be finite and larger than 0", got=rate)
    if options.tensorboard:
        require_extra("tensorboard", "tensorboard")
    if options.label_smoothing and spec.custom and spec.custom.loss is not None:
        raise UsageError(
            f"{options.model} has its own loss, which label smoothing does not change",
            got="--label-smoothing",
            hint="omit --label-smoothing",
        )
    _check_backbone(options, spec)
    _check_input(options)


def check_task(options: TrainOptions, spec: ModelSpec, task: Task) -> None:
    """Check that options for classes fit the task. Raises UsageError."""
    if not task.has_classes:
        for flag, is_given in (
            (f"--class-weights {options.class_weights}", options.class_weights != "none"),
            (f"--label-smoothing {options.label_smoothing:g}", options.label_smoothing > 0),
        ):
            if is_given:
                raise UsageError(
                    "a model with --target predicts a number and has no classes",
                    got=flag,
                    hint=f"omit {flag.partition(' ')[0]}",
                )
    has_own_loss = spec.custom is not None and spec.custom.loss is not None
    if options.class_weights != "none" and has_own_loss and task.balances_in_loss:
        raise UsageError(
            f"{options.model} has its own loss, which cannot balance several labels per image",
            got=f"--class-weights {options.class_weights}",
            hint="omit --class-weights",
        )


def choose_weights(options: TrainOptions) -> str | None:
    """Return the initial weights of the backbone: `imagenet` or a path; None if random."""
    if options.mode == "scratch" or options.weights == "none":
        return None
    return options.weights or "imagenet"


def choose_learning_rates(options: TrainOptions, spec: ModelSpec) -> tuple[float, float]:
    """Return two learning rates: of the main phase, and of a head phase before it."""
    defaults = {
        "scratch": spec.learning_rate,
        "transfer": _HEAD_LEARNING_RATE,
        "finetune": _FINETUNE_LEARNING_RATE,
    }[options.mode]
    return options.learning_rate or defaults, _HEAD_LEARNING_RATE


def reads_features(options: TrainOptions) -> bool:
    """Return whether a head phase trains from features: only if there is no augmentation."""
    return options.mode != "scratch" and options.augment == type(options.augment)()


def _check_backbone(options: TrainOptions, spec: ModelSpec) -> None:
    if options.mode == "scratch" and options.weights not in {None, "none"}:
        raise UsageError(
            "--mode scratch starts from random weights",
            got=f"--weights {options.weights}",
            hint="omit --weights, or use --mode transfer or finetune",
        )
    if options.mode != "scratch" and not spec.has_backbone:
        raise UsageError(
            f"{options.model} has no pretrained weights",
            got=f"--mode {options.mode}",
            hint="use a different model, such as mobilenet_v2, or --mode scratch",
        )
    if not spec.has_backbone and (options.head_units or options.head_dropout):
        raise UsageError(
            f"{options.model} has no configurable head",
            got="--head-units or --head-dropout",
            hint="omit these options, or use a model with a backbone, such as vgg16",
        )
    if spec.has_backbone and options.dropout is not None:
        raise UsageError(
            f"{options.model} does not support --dropout",
            hint="use --head-dropout for dropout in its head",
        )
    if options.mode != "finetune" and options.unfreeze != "all":
        raise UsageError(
            "--unfreeze has an effect only with --mode finetune", got=f"--mode {options.mode}",
            hint="omit --unfreeze, or use --mode finetune",
        )  # fmt: skip


def _check_input(options: TrainOptions) -> None:
    from_features = options.mode == "transfer" and reads_features(options)
    if options.features is not None and not from_features:
        raise UsageError(
            "a feature store requires --mode transfer without --augment", got="--features"
        )
    if options.cache != "none" and from_features:
        raise UsageError(
            "--mode transfer without --augment trains from features",
            got=f"--cache {options.cache}",
            hint="omit --cache: features are cached automatically",
        )
    if options.cache in {"memory", "disk"} and options.augment.crop < 1:
        raise UsageError(
            "--cache and random crops cannot be combined: cached images are already decoded",
            got=f"--cache {options.cache} with --augment crop",
            hint="omit --cache or --augment crop",
        )
    if options.skip_bad and options.cache == "disk":
        raise UsageError(
            "a cache on disk needs complete shards, because later runs use it too",
            got=f"--skip-bad {options.skip_bad}",
            hint="convert the images again and omit --skip-bad, or do not use --cache disk",
        )
