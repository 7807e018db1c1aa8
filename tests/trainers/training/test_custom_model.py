"""Registered models in training, resuming, evaluation, prediction and export."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from records.errors import UsageError
from tests.trainers.training.test_resume import assert_same_run, stop_at_step
from trainers.models import find_model, register_model, require_model, resolve_model
from trainers.models.registry import REGISTERED
from trainers.options import TrainOptions
from trainers.runs.run_dir import open_run
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
REFERENCE = "tests.trainers.models.custom_model:build"
OPTIONS = TrainOptions(
    model="attention", epochs=2, batch_size=8, image_size=(16, 16), checkpoint_steps=4, dropout=0.1
)


@pytest.fixture(autouse=True)
def _attention() -> Iterator[None]:
    from tests.trainers.models import custom_model

    register_model(
        "attention",
        custom_model.build,
        loss=custom_model.LOSS,
        metrics=[custom_model.top_2],
        callbacks=[custom_model.Record],
    )
    yield
    REGISTERED.clear()


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.trainers.models import custom_model
    from trainers.training.train import train

    register_model(
        "attention",
        custom_model.build,
        loss=custom_model.LOSS,
        metrics=[custom_model.top_2],
        callbacks=[custom_model.Record],
    )
    custom_model.val_losses.clear()
    folder: Path = tmp_path_factory.mktemp("custom") / "run"
    result = train(plan_training(shapes, folder, OPTIONS))
    assert custom_model.val_losses[result.weights_epoch - 1] == pytest.approx(result.val_loss)
    assert "val_accuracy=" in repr(result)
    return folder


def test_train_custom_model_stores_only_its_name(run: Path) -> None:
    config = json.loads((run / "config.json").read_bytes())
    assert config["architecture"]["model"] == "attention"
    assert b"custom_model" not in (run / "config.json").read_bytes()


def test_history_custom_metrics_are_columns(run: Path) -> None:
    with (run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert 0 < float(rows[-1]["accuracy"]) <= float(rows[-1]["top_2"]) <= 1
    assert float(rows[-1]["val_top_2"]) >= float(rows[-1]["val_accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_resume_custom_model_gives_same_weights(
    shapes: Path, tmp_path: Path, run: Path, step: int
) -> None:
    from trainers.training.train import train

    with stop_at_step(step), pytest.raises(KeyboardInterrupt):
        train(plan_training(shapes, tmp_path / "run", OPTIONS))
    train(plan_training(shapes, tmp_path / "run", OPTIONS, resume=True))
    assert_same_run(run, tmp_path / "run")


def test_callback_stop_training_ends_the_run(shapes: Path, tmp_path: Path) -> None:
    import keras

    from tests.trainers.models import custom_model
    from trainers.training.train import train

    class StopAtStep5(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped here
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.model.stop_training = batch == 5

    register_model("attention", custom_model.build, callbacks=[StopAtStep5])
    result = train(plan_training(shapes, tmp_path / "run", OPTIONS))
    assert (result.steps, result.epochs) == (6, 1)


def test_load_model_custom_model_predicts_what_it_validated(run: Path) -> None:
    from trainers.evaluation import Evaluation, evaluate

    evaluation = evaluate(run, split="validation")
    assert isinstance(evaluation, Evaluation)
    result = json.loads((run / "result.json").read_bytes())
    assert evaluation.accuracy == pytest.approx(result["val_accuracy"], abs=1e-6)
    assert evaluation.loss == pytest.approx(result["val_loss"], rel=1e-3)


@pytest.mark.parametrize("form", ["keras", "saved_model"])
def test_export_custom_model_gives_same_scores(run: Path, tmp_path: Path, form: str) -> None:
    import keras
    import tensorflow as tf

    from trainers.export.export import export
    from trainers.models.load import load_model

    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    expected = keras.ops.softmax(load_model(open_run(run)).predict(images, verbose=0))
    export(open_run(run), tmp_path / "out", form)
    if form == "keras":
        model = keras.models.load_model(tmp_path / "out" / "model.keras", safe_mode=True)
        scores = model.predict(images, verbose=0)
    else:
        served = tf.saved_model.load(str(tmp_path / "out")).signatures["pixels"]
        scores = -np.sort(-np.asarray(expected))
        np.testing.assert_allclose(served(image=tf.constant(images))["scores"], scores, rtol=1e-4)
        return
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_load_model_unregistered_model_is_refused_with_hint(run: Path) -> None:
    from trainers.models.load import load_model

    REGISTERED.clear()
    opened = open_run(run)
    with pytest.raises(UsageError, match=r"not registered, got 'attention'; .*--model package"):
        load_model(opened)
    require_model(opened, REFERENCE)
    load_model(opened)


def test_plan_training_resume_with_reference_provides_model_of_run(shapes: Path, run: Path) -> None:
    import msgspec

    REGISTERED.clear()
    options = msgspec.structs.replace(OPTIONS, model=REFERENCE)
    plan = plan_training(shapes, run, options, resume=True)
    assert plan.config.options.model == "attention"


def test_resolve_model_reference_is_its_own_name_unless_registered() -> None:
    assert resolve_model(REFERENCE) == "attention"
    REGISTERED.clear()
    assert resolve_model(REFERENCE) == REFERENCE
    assert find_model(REFERENCE).custom is not None


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:build", "ModuleNotFoundError"),
        ("tests.trainers.models.custom_model:val_loss", "did you mean .*:val_losses"),
        ("tests.trainers.models.custom_model:val_losses", "not a builder"),
    ],
)
def test_resolve_model_bad_reference_is_refused(reference: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_model(reference)


@pytest.mark.parametrize("name", ["cnn", "a b", "", "a:b"])
def test_register_model_invalid_or_built_in_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        register_model(name, lambda **_: None)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (lambda image_shape, classes: None, "NoneType is not a keras.Model"),
        (lambda image_shape, classes: 1 / 0, "ZeroDivisionError"),
        (lambda image_shape, classes: build_headless(image_shape), "does not return logits"),
    ],
)
def test_build_network_bad_builder_is_refused(builder: object, message: str) -> None:
    from trainers.config import Architecture, ImageShape
    from trainers.models.build import build_network

    register_model("bad", builder)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=message):
        build_network(Architecture("bad", ImageShape(8, 8), 3))


def build_headless(image_shape: tuple[int, int, int]) -> object:
    import keras

    image = keras.Input(image_shape)
    return keras.Model(image, keras.layers.Flatten()(image))


def test_build_network_option_without_parameter_is_refused() -> None:
    from tests.trainers.models import custom_model
    from trainers.config import Architecture, ImageShape
    from trainers.models.build import build_network

    register_model("attention", custom_model.build)
    with pytest.raises(UsageError, match="no parameter l2, got --l2"):
        build_network(Architecture("attention", ImageShape(16, 16), 3, l2=0.1))


@pytest.mark.slow
def test_commands_accept_model_by_reference(shapes: Path, tmp_path: Path) -> None:
    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "shardmill", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    run = tmp_path / "run"
    model = ("--model", REFERENCE)
    done = call("train", shapes, run, *model, "--epochs", 1, "--image-size", 16)
    assert done.returncode == 0, done.stderr
    refused = call("evaluate", run)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--model package.module:builder" in refused.stderr
    for arguments in (("evaluate", run), ("export", run, tmp_path / "out")):
        done = call(*arguments, *model)
        assert done.returncode == 0, done.stderr
