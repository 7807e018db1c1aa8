"""Tests of the choices of recipes from facts about data and machine."""

from __future__ import annotations

from typing import Any

import pytest

from records.errors import UsageError
from trainers.defaults import DEFAULTS
from trainers.models import MODELS, find_model
from trainers.options import RECIPE_NAMES, Augmentation, RecipeName, TrainOptions
from trainers.recipes.choose import SETTINGS, Choices, choose_cache, choose_options
from trainers.recipes.facts import Facts, find_model_of
from trainers.training.planning.option_checks import check_options, complete_options

WEIGHTS = {name: f"/weights/{name}.h5" for name in ("mobilenet_v2", "resnet50", "vgg16")}
PHOTOS, DIGITS = Facts(1000, 480, 640, {}), Facts(60_000, 28, 28, {})


def choose(name: RecipeName, facts: Facts, **given: Any) -> Choices:
    choices = Choices(TrainOptions(**given), frozenset(given))
    choose_options(name, SETTINGS[name], facts, choices)
    choose_cache(choices, 10**6)
    check_options(choices.options, find_model(choices.options.model))
    return choices


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["scratch", "transfer", "finetune"])
def test_complete_options_gives_the_defaults_of_the_model(name: str, mode: Any) -> None:
    spec = find_model(name)
    options = TrainOptions(model=name, mode=mode)
    completed = complete_options(options, ())
    if (spec.kind, mode) in DEFAULTS:
        row = DEFAULTS[spec.kind, mode]
        assert (completed.batch_size, completed.schedule) == (row.batch_size, row.schedule)
        assert completed.learning_rate == row.rate(spec.learning_rate)
        assert completed.augment == row.augment
    given = {"batch_size", "schedule", "learning_rate", "augment"}
    assert complete_options(options, given) == options


@pytest.mark.parametrize(
    ("name", "facts", "model", "mode"),
    [
        ("fast", DIGITS, "cnn-bn", "scratch"),
        ("accurate", DIGITS._replace(weights=WEIGHTS), "cnn-bn", "scratch"),
        ("fast", PHOTOS, "cnn", "scratch"),
        ("fast", PHOTOS._replace(weights=WEIGHTS), "mobilenet_v2", "transfer"),
        ("accurate", PHOTOS._replace(weights=WEIGHTS), "resnet50", "finetune"),
    ],
)
def test_choose_options_model_and_mode_fit_images_and_weights(
    name: RecipeName, facts: Facts, model: str, mode: str
) -> None:
    choices = choose(name, facts)
    assert (choices.options.model, choices.options.mode) == (model, mode)
    assert all(": " in line for line in choices.reasons)


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_choose_options_given_weights_choose_their_model(name: RecipeName) -> None:
    facts = PHOTOS._replace(weights_model="mobilenet_v2")
    options = choose(name, facts, weights="mobilenet_v2.weights.h5").options
    assert (options.model, options.weights) == ("mobilenet_v2", "mobilenet_v2.weights.h5")
    assert options.mode == ("transfer" if name == "fast" else "finetune")


@pytest.mark.parametrize("name", RECIPE_NAMES)
@pytest.mark.parametrize(
    "given",
    [
        {"model": "cnn-512"},
        {"model": "mobilenet_v2", "mode": "transfer"},
        {"mode": "finetune", "head_epochs": 1},
        {"weights": "imagenet"},
        {"augment": Augmentation(crop=0.3), "batch_size": 7, "schedule": "constant"},
        {"cache": "none", "learning_rate": 0.5},
    ],
)
def test_choose_options_given_options_do_not_change(
    name: RecipeName, given: dict[str, Any]
) -> None:
    choices = choose(name, PHOTOS, **given)
    assert {key: getattr(choices.options, key) for key in given} == given
    shown = {line.partition(" ")[0] for line in choices.reasons}
    assert not shown & given.keys()


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("a/mobilenet_v2.weights.h5", "mobilenet_v2"),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5", "mobilenet_v2"),
        ("resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5", "resnet50_v2"),
        ("mobilenet_1_0_224_tf_no_top.h5", "mobilenet"),
        ("efficientnetv2-b0_notop.h5", "efficientnet_v2_b0"),
    ],
)
def test_find_model_of_name_of_file_is_that_of_keras(path: str, model: str) -> None:
    assert find_model_of(path) == model


def test_find_model_of_other_name_is_refused_with_the_option() -> None:
    with pytest.raises(UsageError, match="--model"):
        find_model_of("mine.h5")
