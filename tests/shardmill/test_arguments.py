"""Arguments of the Python API with wrong types."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
import numpy as np
import pytest

import shardmill as sm
from pipelines.options import ConvertOptions
from records.arguments import NotNegative, Positive, Processes, build_options, check_arguments
from records.cli.params import Count
from records.errors import UsageError
from trainers.options import Mistakes, Seed, TrainOptions, Units

_CALLBACKS = {"on_progress", "on_message", "progress", "resume"}
_PATHS = {"source", "output", "dataset", "run"}


def _arguments(function: object) -> list[str]:
    return [
        name
        for name in inspect.signature(function).parameters  # type: ignore[arg-type]
        if name not in _CALLBACKS | _PATHS
    ]


@pytest.mark.parametrize(
    "value", [math.nan, object(), {"a": 1}, [[1]], b"\xff"], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("name", _arguments(sm.convert))
def test_convert_argument_of_the_wrong_type_is_a_usage_error(
    name: str, value: object, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(UsageError):
        sm.convert(tmp_path / "photos", tmp_path / "data", **arguments)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "value", [math.nan, object(), {"a": 1}, [[1]]], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("name", _arguments(sm.train))
def test_train_argument_of_the_wrong_type_is_a_usage_error(
    name: str, value: object, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(UsageError):
        sm.train(tmp_path, tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 1.5}, "argument workers: expected `int | None`, got `float`"),
        ({"classes": "cat"}, "argument classes: expected `sequence | None`, got `str`"),
        ({"classes": ["cat", 3]}, r"argument classes\[1\]: expected `str`, got `int`"),
        ({"layout": "flat"}, "argument layout: invalid enum value 'flat', expected one of auto"),
    ],
)
def test_wrong_argument_is_named_with_what_was_expected(
    given: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_options(ConvertOptions, {"source": "photos", "output": "data", **given})


def test_numpy_scalars_and_paths_are_accepted() -> None:
    options = build_options(
        ConvertOptions,
        {
            "source": Path("photos"),
            "output": "data",
            "seed": np.int64(3),
            "test": np.float64(0.5),
            "list": Path("list.csv"),
        },
    )
    assert (options.seed, options.test, options.list) == (3, 0.5, "list.csv")


@pytest.mark.parametrize("name", ["l2", "learning_rate", "checkpoint_minutes"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_numbers_of_training_are_finite_and_not_negative(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        build_options(TrainOptions, {name: value})


_REQUIRED = {
    "adopt": ("a.tfrecord", "out"),
    "as_tf_dataset": ("data",),
    "compact": ("data", "out"),
    "convert": ("photos", "out"),
    "diff": ("data", "other"),
    "evaluate": ("run",),
    "evaluate_files": ("run", "photos"),
    "export": ("run", "out"),
    "export_dataset": ("data", "out"),
    "extract": ("data", "out"),
    "find_learning_rate": ("data",),
    "featurize": ("data", "out"),
    "inspect": ("data",),
    "label_errors": ("data",),
    "log": ("data",),
    "open_dataset": ("data",),
    "prune": ("data",),
    "quality": ("data",),
    "relabel": ("data", {"cat/0.png": "dog"}),
    "remove": ("data", ["cat/0.png"]),
    "report": ("data",),
    "repair": ("data", "photos"),
    "rollback": ("data",),
    "runs": ("run",),
    "salvage": ("a.tfrecord", "out"),
    "serve": ("run",),
    "serving_app": ("run",),
    "sign": ("data",),
    "stats": ("data",),
    "summarize": ("data", "run"),
    "train": ("data", "run"),
    "verify": ("data",),
    "Predictor": ("run",),
}
_NAMED = {
    "export_dataset": {"format": "parquet"},
    "featurize": {"model": "mobilenet_v2"},
    "label_errors": {"model": "mobilenet_v2"},
    "prune": {"older_than": "1d"},
    "sign": {"key": "key.pem"},
}


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"a"


_NO_PATHS: dict[str, Any] = {
    "surrogate": "a\udc80b\ud800",
    "nul": "a\0b",
    "nul in a Path": Path("a\0b"),
    "nul in a URL": "s3://bucket/a\0b",
    "bytes": b"a",
    "bytearray": bytearray(b"a"),
    "PathLike of bytes": BytesPath(),
    "int": 3,
    "bool": True,
    "float": 0.5,
}


@pytest.mark.parametrize("kind", _NO_PATHS)
@pytest.mark.parametrize(
    ("function", "number"),
    [(name, number) for name, paths in _REQUIRED.items() for number in range(len(paths))],
)
def test_argument_that_is_no_path_is_a_usage_error(
    function: str, number: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths: list[Any] = list(_REQUIRED[function])
    paths[number] = _NO_PATHS[kind]
    name = list(inspect.signature(getattr(sm, function)).parameters)[number]
    with pytest.raises(UsageError, match=f"argument {name}: "):
        getattr(sm, function)(*paths, **_NAMED.get(function, {}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", _NO_PATHS)
@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("convert", "labels"),
        ("convert", "list"),
        ("convert", "image_folder"),
        ("convert", "exclude"),
        ("convert", "describe"),
        ("verify", "key"),
        ("adopt", "labels"),
        ("adopt", "describe"),
        ("train", "weights"),
        ("train", "features"),
        ("featurize", "weights"),
        ("label_errors", "weights"),
        ("evaluate", "dataset"),
        ("evaluate", "csv"),
        ("runs", "chart"),
    ],
)
def test_optional_argument_that_is_no_path_is_a_usage_error(
    function: str, name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"argument {name}: "):
        getattr(sm, function)(
            *_REQUIRED[function], **_NAMED.get(function, {}), **{name: _NO_PATHS[kind]}
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", _NO_PATHS)
def test_adopt_list_with_an_element_that_is_no_path_is_a_usage_error(
    kind: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="argument files: "):
        sm.adopt(["a.tfrecord", _NO_PATHS[kind]], tmp_path)


@pytest.mark.parametrize(
    ("function", "given"),
    [
        ("inspect", {"limit": -1}),
        ("inspect", {"limit": 0}),
        ("inspect", {"limit": 2.5}),
        ("inspect", {"limit": True}),
        ("evaluate", {"mistakes": -1}),
        ("evaluate", {"mistakes": 101}),
        ("evaluate", {"skip_bad": -1}),
        ("verify", {"decode": "x"}),
        ("verify", {"decode": 1}),
        ("verify", {"processes": 0}),
        ("verify", {"processes": 4097}),
        ("extract", {"processes": -1}),
        ("export_dataset", {"processes": 0}),
        ("export_dataset", {"format": "zip"}),
        ("export_dataset", {"split": "val"}),
        ("export_dataset", {"images_per_file": 0}),
        ("compact", {"processes": 0}),
        ("compact", {"dry_run": "no"}),
        ("relabel", {"allow_new_classes": 1}),
        ("relabel", {"dry_run": "no"}),
        ("remove", {"dry_run": "no"}),
        ("remove", {"ignore_missing": 1}),
        ("remove", {"processes": 0}),
        ("convert", {"processes": 0}),
        ("compact", {"message": 5}),
        ("rollback", {"to": 0}),
        ("rollback", {"message": b"why"}),
        ("repair", {"dry_run": 1}),
        ("repair", {"test": 0.2}),
        ("adopt", {"message": 5}),
        ("adopt", {"max_rejects": -1}),
        ("adopt", {"dry_run": 3}),
        ("salvage", {"dry_run": "no"}),
        ("as_tf_dataset", {"batch_size": 0}),
        ("as_tf_dataset", {"seed": -1}),
        ("as_tf_dataset", {"shuffle": "yes"}),
        ("open_dataset", {"pad": None}),
        ("open_dataset", {"shard_index": "0"}),
        ("train", {"epochs": 0}),
        ("train", {"head_units": 2**16 + 1}),
        ("featurize", {"batch_size": 0}),
    ],
    ids=str,
)
def test_argument_out_of_bounds_is_a_usage_error_before_anything_is_read(
    function: str, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (name,) = given
    with pytest.raises(UsageError, match=f"argument {name}: "):
        getattr(sm, function)(*_REQUIRED[function], **{**_NAMED.get(function, {}), **given})
    assert list(tmp_path.iterdir()) == []


def test_functions_of_the_api_check_their_arguments() -> None:
    values = {name: getattr(sm, name) for name in sm.__all__}
    functions = {name for name, value in values.items() if inspect.isfunction(value)}
    checked = {name for name in functions if hasattr(values[name], "__wrapped__")}
    assert functions - checked == {"models", "register_model"}
    assert functions & _REQUIRED.keys() == checked - {"append"}


def test_checked_function_receives_its_arguments_unchanged() -> None:
    @check_arguments
    def count(text: str, *, least: Positive = 1, most: NotNegative | None = None) -> object:
        return text, least, most

    assert count("a\udc80", least=np.int64(3)) == ("a\udc80", 3, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing a required argument"):
        count()  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [Positive, NotNegative, Processes, Units, Mistakes, Seed])
def test_option_type_has_the_bounds_of_the_argument(kind: Any) -> None:
    bounds = get_args(kind)[1]
    for number in (bounds.ge, bounds.le):
        assert Count(kind).convert(number, None, None) == number
        assert msgspec.convert(number, kind) == number
    for number in (bounds.ge - 1, bounds.le + 1):
        with pytest.raises(click.BadParameter):
            Count(kind).convert(number, None, None)
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(number, kind)
