"""Tests of options as TOML: round trips of all options, priorities, errors."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from records.arguments import build_options
from records.errors import InputNotFoundError, UsageError
from tests.trainers.test_config import CONFIG
from trainers.augment.spec import to_augmentation
from trainers.cli.config_options import config_options
from trainers.cli.options import train_options
from trainers.cli.train import train
from trainers.models import MODELS
from trainers.options import OPTIMIZERS, Augmentation, LoggerName, TrainOptions
from trainers.options_file import MAX_FILE_BYTES, decode_options, encode_options
from trainers.runs.create import create_run, open_for_writing
from trainers.runs.run_dir import WEIGHTS

_MOST = sys.float_info.max
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
_POSITIVE = st.integers(1, 2**31 - 1)
_COUNT = st.integers(0, 2**31 - 1)
_AMOUNT = st.floats(0, _MOST)
_ABOVE_0 = st.floats(0, _MOST, exclude_min=True)
_PART = st.floats(0, 1, exclude_max=True)
_SIDE = st.integers(1, 9999)
_FOLDS = st.integers(2, 100)
AUGMENTATIONS = st.builds(
    Augmentation,
    flip=st.sampled_from(["none", "horizontal", "vertical", "both"]),
    rotate_degrees=st.floats(0, 180),
    shift=_PART,
    zoom=_PART,
    contrast=_PART,
    brightness=st.floats(0, 1),
    crop=st.floats(0, 1, exclude_min=True),
    saturation=_PART,
    hue=st.floats(0, 1),
    erase=st.floats(0, 1),
    randaugment=st.floats(0, 30),
    trivialaugment=st.floats(0, 1),
    mixup=st.floats(0, 1),
    cutmix=st.floats(0, 1),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "target": st.none() | _TEXT,
    "model": st.sampled_from([*MODELS]),
    "mode": st.sampled_from(["scratch", "transfer", "finetune"]),
    "weights": st.none() | _TEXT,
    "unfreeze": st.just("all") | _POSITIVE,
    "pooling": st.sampled_from(["avg", "max", "flatten", "token"]),
    "head_units": st.integers(0, 2**16),
    "head_dropout": _PART,
    "head_epochs": _COUNT,
    "unfreeze_epochs": st.integers(0, 100),
    "features": st.none() | _TEXT,
    "dropout": st.none() | _PART,
    "l2": _AMOUNT,
    "augment": AUGMENTATIONS,
    "optimizer": st.sampled_from(OPTIMIZERS),
    "learning_rate": st.none() | _ABOVE_0,
    "layer_decay": st.none() | st.floats(0, 1, exclude_min=True),
    "lora": st.none() | st.integers(1, 1024),
    "schedule": st.sampled_from(["constant", "cosine", "one-cycle"]),
    "warmup_steps": _COUNT,
    "label_smoothing": _PART,
    "class_weights": st.sampled_from(["none", "balanced"])
    | st.dictionaries(_TEXT, _AMOUNT, min_size=1, max_size=5),
    "balanced": st.booleans(),
    "ema": st.none() | _PART,
    "early_stopping": st.none() | _POSITIVE,
    "precision": st.sampled_from(["auto", "float32", "mixed_bfloat16", "mixed_float16"]),
    "jit": st.none() | st.booleans(),
    "epochs": _POSITIVE,
    "steps": st.none() | _POSITIVE,
    "batch_size": _POSITIVE,
    "image_size": st.none() | st.tuples(_SIDE, _SIDE),
    "seed": st.integers(0, 2**32 - 1),
    "cache": st.sampled_from(["none", "memory", "disk", "shards"]),
    "cache_limit_gb": _ABOVE_0,
    "validation_split": st.none() | _TEXT,
    "fold": st.none() | st.builds(lambda part, of: f"{min(part, of)}/{of}", _FOLDS, _FOLDS),
    "checkpoint_steps": st.none() | _POSITIVE,
    "checkpoint_minutes": _ABOVE_0,
    "keep_checkpoints": _POSITIVE,
    "skip_bad": _COUNT,
    "log": st.lists(st.sampled_from(get_args(LoggerName))).map(tuple),
    "tensorboard": st.booleans(),
}
OPTIONS = st.fixed_dictionaries(VALUES).map(lambda values: TrainOptions(**values))
SHOWN: list[TrainOptions] = []


@click.command()
@config_options
@train_options()
def show(**options: Any) -> None:
    """Keep the options of a call."""
    SHOWN.append(msgspec.convert(options, TrainOptions))


def call(*arguments: object) -> TrainOptions:
    result = CliRunner().invoke(show, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return SHOWN.pop()


def write(folder: Path, text: str) -> Path:
    path = folder / "options.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_values_of_this_test_are_all_options() -> None:
    assert VALUES.keys() == {*TrainOptions.__struct_fields__}


@settings(max_examples=40, deadline=None)
@given(options=OPTIONS)
def test_options_survive_a_file_in_python_and_on_the_command_line(
    options: TrainOptions, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = encode_options(options)
    found = decode_options(content, path="options.toml")
    assert build_options(TrainOptions, {name: value for name, (value, _) in found.items()}) == (
        options
    )
    values = tomllib.loads(content.decode())
    augment = to_augmentation(values["augment"])
    assert build_options(TrainOptions, {**values, "augment": augment}) == options
    path = tmp_path_factory.getbasetemp() / "options.toml"
    path.write_bytes(content)
    assert call("--config", path) == options


def test_keys_with_dashes_texts_and_words_of_an_augmentation_are_options(tmp_path: Path) -> None:
    path = write(
        tmp_path, 'image-size = "32x48"\nlearning-rate = 1\nunfreeze = "3"\n[augment]\nrotate = 20'
    )
    found = call("--config", path)
    assert (found.image_size, found.learning_rate, found.unfreeze) == ((32, 48), 1.0, 3)
    assert found.augment == Augmentation(rotate_degrees=20)
    path = write(tmp_path, 'augment = "flip,rotate=20"')
    assert call("--config", path).augment == Augmentation("horizontal", 20)


def test_option_has_priority_over_set_which_has_priority_over_file(tmp_path: Path) -> None:
    path = write(tmp_path, "epochs = 2\nbatch_size = 3\nseed = 4\ntensorboard = true")
    config, sets = ["--config", path], ["--set", "batch-size=30", "--set", "seed = 40"]
    for arguments in ([*config, *sets], [*sets, *config]):
        found = call(*arguments, "--seed", 400)
        assert (found.epochs, found.batch_size, found.seed) == (2, 30, 400)
        assert found.loggers == ("tensorboard",)
        assert found.optimizer == "adam"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "options.toml line 1: unknown option of train, got epoch; write epochs"),
        ("\n'batch size' = 3", "line 2: unknown option of train, got batch size; write batch_size"),
        ("resume = true", "unknown option of train, got resume; `shardmill train --help` lists"),
        ("batch_size = 1\nbatch-size = 2", "line 2: an option is repeated, got batch-size"),
        ("epochs = 3.5", "options.toml line 1: epochs: expected `int`, got `float`"),
        ("epochs = 0", "line 1: epochs: 0 is not in the range x>=1"),
        ('epochs = "three"', "line 1: epochs: 'three' is not a valid integer"),
        ("learning_rate = 1979-05-27", "line 1: learning_rate: expected `float"),
        ('mode = "tuning"', "line 1: mode: 'tuning' is not one of 'scratch', 'transfer'"),
        ('model = "vgg99"', "line 1: model: unknown model, expected vgg"),
        ('augment = "rotate"', "line 1: augment: --augment: rotate needs a value"),
        ("[augment]\nspin = 1", "line 1: augment: object contains unknown field `spin`"),
        ("[augment]\nrotate = nan", "line 1: augment"),
        ("image_size = [1, 2, 3]", "line 1: image_size"),
        ("l2 = nan", "line 1: l2"),
        ('{"options": {}}', "options.toml: the file of options is not valid TOML.*in options.toml"),
        ("a = " + "[" * 9999, "the file of options is not valid TOML"),
        ("#" * MAX_FILE_BYTES + "#", "the file of options is too large"),
    ],
)
def test_file_with_an_error_is_refused_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        call("--config", write(tmp_path, text))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "--set needs a value, expected --set KEY=VALUE, got epochs"),
        ("epoch=3", "--set: unknown option of train, got epoch; write epochs"),
        ("epochs=0", "--set epochs: epochs: 0 is not in the range"),
    ],
)
def test_setting_with_an_error_is_refused(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call("--set", setting)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="options not found, expected a TOML file"):
        call("--config", tmp_path / "options.toml")


def test_loggers_of_a_file_and_of_set_are_lists(tmp_path: Path) -> None:
    path = write(tmp_path, 'log = ["mlflow", "wandb"]')
    assert call("--config", path).log == ("mlflow", "wandb")
    assert call("--config", path, "--set", "log=wandb, tensorboard").log == ("wandb", "tensorboard")
    assert call("--config", path, "--log", "mlflow").log == ("mlflow",)
    with pytest.raises(UsageError, match="--set log: log: 'wandbs' is not one of"):
        call("--set", "log=wandbs")


def test_train_with_a_file_plans_the_same_run(shapes: Path, tmp_path: Path) -> None:
    path = write(tmp_path, 'model = "cnn-bn"\nepochs = 7\nimage_size = 48')
    arguments = [str(shapes), str(tmp_path / "run"), "--config", str(path), "--dry-run", "--json"]
    result = CliRunner().invoke(train, arguments)
    assert result.exit_code == 0, result.stderr
    planned = json.loads(result.stdout)
    assert (planned["model"], planned["epochs"], planned["height_px"]) == ("cnn-bn", 7, 48)


def test_resumed_run_replaces_its_options(tmp_path: Path) -> None:
    labels = ("disc", "square", "star", "arc", "dot")
    run = create_run(tmp_path / "run", CONFIG, labels)
    run.write(WEIGHTS, b"weights")
    longer = msgspec.structs.replace(CONFIG.options, epochs=CONFIG.options.epochs + 1)
    for options in (CONFIG.options, longer):
        config = msgspec.structs.replace(CONFIG, options=options)
        with open_for_writing(tmp_path / "run", config, labels):
            pass
        assert (tmp_path / "run" / "options.toml").read_bytes() == encode_options(options)


def test_class_weights_of_a_file_are_those_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.toml"
    path.write_text('disc = 2\n"a \\" b" = 0.5\n', encoding="utf-8")
    found = call("--class-weights", path)
    assert found.class_weights == {"disc": 2.0, 'a " b': 0.5}
    assert call("--class-weights", "balanced").class_weights == "balanced"
    assert call("--set", f"class_weights={path}").class_weights == found.class_weights


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file has no class weights"),
        ("disc = 2\nstar = -1", "weights.toml line 2: not a class weight, expected a number from"),
        ('disc = "many"', "not a class weight, expected a number from 0, got many"),
        ("disc: 2", "the file of class weights is not valid TOML.*write a line for each class"),
    ],
)
def test_class_weights_with_an_error_are_refused_with_their_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        call("--class-weights", path)


def test_class_weights_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="class weights not found"):
        call("--class-weights", tmp_path / "weights.toml")
