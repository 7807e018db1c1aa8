"""Checks for conflicting training options, and options that depend on the model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from records.errors import UsageError
from records.text.escaping import escape_for_display
from trainers.augment.spec import check_colors, format_augmentation
from trainers.defaults import HEAD_LEARNING_RATE, LORA_LEARNING_RATE, find_defaults
from trainers.loggers import check_loggers
from trainers.models import find_model, is_reference
from trainers.models.weights_path import pretrained_weights
from trainers.options import Fold
from trainers.tasks import find_task
from trainers.tasks.class_weights import check_class_weights

if TYPE_CHECKING:
    from collections.abc import Container

    from records.format.label_map import LabelMap
    from trainers.config import Architecture
    from trainers.models import ModelSpec
    from trainers.options import TrainOptions


def check_options(options: TrainOptions, spec: ModelSpec) -> None:
    """Check that the options do not conflict. Raises UsageError."""
    rate = options.learning_rate
    if rate is not None and not 0 < rate < math.inf:
        raise UsageError("the learning rate must be finite and larger than 0", got=rate)
    for name, value in msgspec.structs.asdict(options).items():
        if isinstance(value, str) and "\0" in value:
            raise UsageError(
                f"--{name.replace('_', '-')} contains a null character",
                got=escape_for_display(value),
            )
    check_loggers(options.loggers)
    if options.label_smoothing and spec.custom and spec.custom.loss is not None:
        raise UsageError(
            f"{options.model} has its own loss, which label smoothing does not change",
            got="--label-smoothing",
            hint="omit --label-smoothing",
        )
    _check_mixing(options, spec)
    _check_validation(options)
    _check_backbone(options, spec)
    _check_preset(options, spec)
    _check_input(options)


def check_task(
    options: TrainOptions, spec: ModelSpec, architecture: Architecture, labels: LabelMap
) -> None:
    """Check that options for classes, labels and colors fit the dataset. Raises UsageError."""
    task, augment = find_task(architecture.task, architecture.target), options.augment
    if not task.has_classes:
        for flag, name, is_given in (
            (f"--class-weights {_name(options)}", "--class-weights", _has_weights(options)),
            (
                f"--label-smoothing {options.label_smoothing:g}",
                "--label-smoothing",
                options.label_smoothing > 0,
            ),
            ("--balanced", "--balanced", options.balanced),
            ("--augment mixup", "mixup", augment.mixup > 0),
            ("--augment cutmix", "cutmix", augment.cutmix > 0),
        ):
            if is_given:
                raise UsageError(
                    "a model with --target predicts a number and has no classes",
                    got=flag,
                    hint=f"omit {name}",
                )
    if options.balanced and not task.is_exclusive:
        raise UsageError(
            "images with any number of labels cannot be drawn so that all classes are equally "
            "frequent",
            got="--balanced",
            hint="use --class-weights balanced",
        )
    check_colors(augment, architecture.shape.channels)
    has_own_loss = spec.custom is not None and spec.custom.loss is not None
    if _has_weights(options) and has_own_loss and task.balances_in_loss:
        raise UsageError(
            f"{options.model} has its own loss, which cannot balance several labels per image",
            got=f"--class-weights {_name(options)}",
            hint="omit --class-weights",
        )
    check_class_weights(options.class_weights, labels)


def _has_weights(options: TrainOptions) -> bool:
    return options.class_weights != "none"


def _name(options: TrainOptions) -> str:
    chosen = options.class_weights
    return chosen if isinstance(chosen, str) else "FILE"


def choose_weights(options: TrainOptions) -> str | None:
    """Return the initial weights of the backbone: a name or a path; None if random."""
    if options.mode == "scratch" or options.weights == "none":
        return None
    return options.weights or pretrained_weights(options.model)


def choose_learning_rates(options: TrainOptions, spec: ModelSpec) -> tuple[float, float]:
    """Return two learning rates: of the main phase, and of a head phase before it."""
    return options.learning_rate or _default_rate(options, spec), HEAD_LEARNING_RATE


def _default_rate(options: TrainOptions, spec: ModelSpec) -> float:
    if options.lora is not None:
        return LORA_LEARNING_RATE
    return find_defaults(spec.kind, options.mode).rate(spec.learning_rate)


def complete_options(options: TrainOptions, given: Container[str]) -> TrainOptions:
    """Return options in which those that are not given are the defaults of the model and the mode.

    Args:
        options: the options of a new run.
        given: the names of the options that the user gave.

    Raises:
        UsageError: the model is unknown.
    """
    if is_reference(options.model):  # a plan imports it, and then knows its learning rate
        spec, defaults = None, find_defaults("custom", options.mode)
    else:
        spec = find_model(options.model)
        defaults = find_defaults(spec.kind, options.mode)
    values: dict[str, object] = {
        "batch_size": defaults.batch_size,
        "schedule": defaults.schedule,
        "augment": defaults.augment,
    }
    if spec is not None:
        values["learning_rate"] = _default_rate(options, spec)
    missing = {name: value for name, value in values.items() if name not in given}
    return msgspec.structs.replace(options, **missing)


def reads_features(options: TrainOptions) -> bool:
    """Return whether a head phase trains from features.

    The head phase of `finetune` is short, and always does: augmentation begins after it.
    """
    is_varied = options.augment != type(options.augment)()
    return options.mode == "finetune" or (options.mode == "transfer" and not is_varied)


def _check_mixing(options: TrainOptions, spec: ModelSpec) -> None:
    if options.balanced and options.class_weights == "balanced":
        raise UsageError(
            "the two options together would weight rare classes twice",
            got="--balanced and --class-weights balanced",
            hint="omit one of the two options",
        )
    has_own = spec.custom is not None and (spec.custom.loss is not None or spec.custom.metrics)
    if options.augment.mixes_images and has_own:
        raise UsageError(
            f"{options.model} has its own loss or metrics, which may not accept mixed labels",
            got=f"--augment {format_augmentation(options.augment)}",
            hint="omit mixup and cutmix",
        )


def _check_validation(options: TrainOptions) -> None:
    if options.fold is None:
        return
    Fold.parse(options.fold)
    if options.validation_split is not None:
        raise UsageError(
            "a run with --fold or --folds validates on its fold of train",
            got=f"--validation-split {options.validation_split}",
            hint="omit --validation-split",
        )


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
    for flag, is_given in (
        ("--unfreeze", options.unfreeze != "all"),
        ("--unfreeze-epochs", options.unfreeze_epochs > 0),
        ("--layer-decay", options.layer_decay is not None),
        ("--lora", options.lora is not None),
    ):
        if is_given and options.mode != "finetune":
            raise UsageError(
                f"{flag} has an effect only with --mode finetune",
                got=f"--mode {options.mode}",
                hint=f"omit {flag}, or use --mode finetune",
            )


def _check_preset(options: TrainOptions, spec: ModelSpec) -> None:
    if options.pooling == "token" and spec.preset is None:
        raise UsageError(
            f"{options.model} has a feature map, and no class token",
            got="--pooling token",
            hint="use --pooling avg, or a transformer: --model keras-hub:PRESET",
        )
    if options.lora is None:
        return
    if spec.preset is None:
        raise UsageError(
            f"{options.model} has no attention layers for LoRA",
            got=f"--lora {options.lora}",
            hint="omit --lora, or use a transformer: --model keras-hub:PRESET",
        )
    for flag, is_given in (
        ("--unfreeze", options.unfreeze != "all"),
        ("--unfreeze-epochs", options.unfreeze_epochs > 0),
        ("--layer-decay", options.layer_decay is not None),
    ):
        if is_given:
            raise UsageError(
                "with --lora, the layers of the backbone stay frozen",
                got=f"{flag} with --lora",
                hint=f"omit {flag} or --lora",
            )


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
