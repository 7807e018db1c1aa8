"""Arguments of the Python API with wrong types."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shardmill as sm
from pipelines.options import ConvertOptions
from records.errors import UsageError
from shardmill.arguments import build_options
from trainers.options import TrainOptions

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
