"""Tests of runs by a recipe: options, reasons, time, and what is recorded."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import shardmill as sm
from records.errors import UsageError
from trainers.cross_validation.request import find_request
from trainers.options import TrainOptions
from trainers.recipes import plan as recipe_plan
from trainers.recipes.time_plan import Speed
from trainers.runs.create import create_run
from trainers.training.planning import TrainingPlan

if TYPE_CHECKING:
    from trainers.cross_validation.request import TrainRequest

SMALL: dict[str, Any] = {"image_size": (12, 12), "seed": 3}


def request(run: Path, **arguments: Any) -> TrainRequest:
    given = {**SMALL, **arguments.pop("given", {})}
    return find_request(run, TrainOptions(**given), given=given, **arguments)


def plan(dataset: Path, run: Path, **arguments: Any) -> TrainingPlan:
    planned = request(run, **arguments).plan(dataset)
    assert isinstance(planned, TrainingPlan)
    return planned


@pytest.mark.usefixtures("refuse_backend")
def test_plan_recipe_without_time_is_recorded_and_resumed(shapes: Path, tmp_path: Path) -> None:
    planned = plan(shapes, tmp_path / "run", recipe="accurate")
    config = planned.config
    assert (config.options.model, config.options.batch_size) == ("cnn-bn", 64)
    assert (config.options.image_size, config.options.seed) == ((12, 12), 3)
    assert config.time_limit_seconds is None
    assert planned.notes[: len(config.choices)] == config.choices
    assert config.choices[0].startswith("recipe accurate: ")
    assert any(line.startswith("epochs 30: ") for line in config.choices)
    create_run(tmp_path / "run", config, planned.labels)
    resumed = plan(shapes, tmp_path / "run", recipe="fast", minutes=3.0, resume=True)
    assert resumed.config == config


def test_plan_without_recipe_has_the_defaults_of_the_model(shapes: Path, tmp_path: Path) -> None:
    options = plan(shapes, tmp_path / "run", given={"model": "cnn-bn"}).config.options
    assert (options.batch_size, options.schedule, options.learning_rate) == (64, "cosine", 2e-3)
    own = {"model": "cnn-bn", "batch_size": 8, "schedule": "constant"}
    options = plan(shapes, tmp_path / "run", given=own).config.options
    assert (options.batch_size, options.schedule) == (8, "constant")


@pytest.mark.parametrize(
    ("speed", "epochs", "steps"),
    [
        # 51 of 60 s are used. An epoch has three steps, and a validation takes 0.4 steps. At the
        # end, the class means take 1.6 steps.
        (Speed(setup_s=1, step_s=0.1, feature_image_s=0), 30, None),
        (Speed(setup_s=1, step_s=1.0, feature_image_s=0), 14, None),
        (Speed(setup_s=1, step_s=7.0, feature_image_s=0), 1, None),
        (Speed(setup_s=1, step_s=9.9, feature_image_s=0), 1, None),
        (Speed(setup_s=1, step_s=16.0, feature_image_s=0), 10, 3),
    ],
)
def test_plan_minutes_choose_what_fits_at_the_measured_speed(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *,
    speed: Speed, epochs: int, steps: int | None,
) -> None:  # fmt: skip
    monkeypatch.setattr(recipe_plan, "measure_speed", lambda *_: speed)
    monkeypatch.setattr(recipe_plan, "time", SimpleNamespace(monotonic=lambda: 100.0))
    planned = plan(shapes, tmp_path / "run", minutes=1.0, started_at=100.0)
    assert (planned.epoch_steps, planned.validation_steps) == (3, 1)
    options = planned.config.options
    assert (options.epochs, options.steps) == (epochs, steps)
    least_s = 1.5 * (3 + 0.4 * 5) * speed.step_s
    assert planned.config.time_limit_seconds == pytest.approx(max(59, least_s))
    given = plan(shapes, tmp_path / "run", minutes=1.0, given={"epochs": 2})
    assert given.config.options.epochs == 2


def test_find_request_time_of_folds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--minutes and --folds"):
        request(tmp_path / "run", folds=3, minutes=1.0)


@pytest.mark.slow
def test_train_minutes_end_in_time_and_the_options_repeat_the_run(
    shapes: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    started_at = time.monotonic()
    done = sm.train(shapes, tmp_path / "run", minutes=0.5, on_message=lines.append, **SMALL)
    assert time.monotonic() - started_at < 60
    assert any("measured on some steps" in line for line in lines)
    assert sm.train(shapes, tmp_path / "run", minutes=0.5, resume=True) == done
    config = TrainOptions(**msgspec.toml.decode((tmp_path / "run/options.toml").read_bytes()))
    assert config.epochs == 30


@pytest.mark.slow
def test_find_learning_rate_writes_a_picture_and_no_run(shapes: Path, tmp_path: Path) -> None:
    curve = sm.find_learning_rate(shapes, picture=tmp_path / "rates.png", **SMALL)
    assert 0 < len(curve.rates) == len(curve.losses) <= 100
    assert [path.name for path in tmp_path.iterdir()] == ["rates.png"]
