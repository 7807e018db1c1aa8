"""Tests of conflicting options."""

from __future__ import annotations

import pytest

from records.errors import UsageError
from trainers.models import find_model
from trainers.models.weights_path import require_weights
from trainers.options import Augmentation, TrainOptions
from trainers.training.planning.option_checks import (
    check_options,
    choose_learning_rates,
    choose_weights,
)

FLIP, CROP = Augmentation(flip="horizontal"), Augmentation(crop=0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "larger than 0"),
        ({"learning_rate": float("nan")}, "larger than 0"),
        ({"model": "vgg16", "weights": "imagenet"}, "use --mode transfer or finetune"),
        ({"mode": "transfer"}, "cnn has no pretrained weights"),
        ({"head_units": 8}, "cnn has no configurable head"),
        ({"model": "vgg16", "dropout": 0.2}, "use --head-dropout"),
        ({"unfreeze": 4}, "--unfreeze has an effect only with --mode finetune"),
        ({"unfreeze_epochs": 2}, "--unfreeze-epochs has an effect only with --mode finetune"),
        (
            {"model": "vgg16", "mode": "transfer", "layer_decay": 0.5},
            "--layer-decay has an effect only with --mode finetune, got --mode transfer",
        ),
        ({"pooling": "token"}, "cnn has a feature map, and no class token"),
        ({"model": "vgg16", "mode": "finetune", "lora": 4}, "vgg16 has no attention layers"),
        ({"model": "keras-hub:a", "lora": 4}, "--lora has an effect only with --mode finetune"),
        (
            {"model": "keras-hub:a", "mode": "finetune", "lora": 4, "layer_decay": 0.5},
            "stay frozen, got --layer-decay with --lora",
        ),
        ({"features": "store"}, "requires --mode transfer"),
        ({"features": "a\0b"}, "--features contains a null character"),
        ({"validation_split": "a\0b"}, "--validation-split contains a null character"),
        (
            {"model": "vgg16", "mode": "transfer", "features": "store", "augment": FLIP},
            "without --augment",
        ),
        ({"model": "vgg16", "mode": "transfer", "cache": "disk"}, "cached automatically"),
        ({"cache": "disk", "augment": CROP}, "--cache and random crops cannot be combined"),
        ({"cache": "disk", "skip_bad": 3}, "complete shards"),
    ],
)
def test_check_options_conflicting_options_are_refused(
    options: dict[str, object], message: str
) -> None:
    asked = TrainOptions(**options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=message):
        check_options(asked, find_model(asked.model))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"augment": CROP},
        {"augment": FLIP, "cache": "memory", "skip_bad": 1},
        {"model": "vgg16", "mode": "transfer", "skip_bad": 3},
        {"model": "vgg16", "mode": "transfer", "cache": "disk", "augment": FLIP},
        {"model": "vgg16", "mode": "finetune", "unfreeze": 4, "head_units": 8, "cache": "disk"},
        {"model": "vgg16", "mode": "finetune", "unfreeze_epochs": 2, "layer_decay": 0.5},
        {"model": "vgg16", "head_dropout": 0.5},
        {"model": "keras-hub:a", "mode": "finetune", "lora": 4, "pooling": "token"},
    ],
)
def test_check_options_compatible_options_are_accepted(options: dict[str, object]) -> None:
    asked = TrainOptions(**options)  # type: ignore[arg-type]
    check_options(asked, find_model(asked.model))


def test_choose_weights_default_is_imagenet_unless_scratch() -> None:
    assert choose_weights(TrainOptions()) is None
    assert choose_weights(TrainOptions(mode="transfer")) == "imagenet"
    assert choose_weights(TrainOptions(mode="finetune", weights="none")) is None
    assert choose_weights(TrainOptions(mode="finetune", weights="a.h5")) == "a.h5"
    assert choose_weights(TrainOptions(mode="transfer", model="keras-hub:a")) == "preset"


def test_require_weights_preset_has_no_other_weights() -> None:
    require_weights("preset", "keras-hub:a")
    with pytest.raises(UsageError, match="the weights of its preset, got --weights imagenet"):
        require_weights("imagenet", "keras-hub:a")


def test_choose_learning_rates_option_sets_main_phase() -> None:
    spec = find_model("mobilenet_v2")
    assert choose_learning_rates(TrainOptions(learning_rate=0.5), spec)[0] == 0.5
    own = [
        choose_learning_rates(TrainOptions(mode=mode), spec)[0]
        for mode in ("scratch", "transfer", "finetune")
    ]
    assert own == pytest.approx([1e-3, 1e-3, 1e-4])
