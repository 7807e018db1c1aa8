"""Tests of the list of models against Keras and the documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import shardmill as sm
from trainers.config import Architecture, ImageShape
from trainers.models import MODELS, ModelSummary
from trainers.models.catalog import FIGURES
from trainers.models.registry import REGISTERED

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "models.md"
QUICK = ("cnn", "cnn-512", "cnn-bn", "mobilenet_v2")


def by_name() -> dict[str, ModelSummary]:
    return {model.name: model for model in sm.models().models}


def test_models_are_those_of_the_registry_with_figures() -> None:
    listed = by_name()
    assert [name for name in listed if name in MODELS] == list(MODELS) == list(FIGURES)
    for name, spec in MODELS.items():
        model = listed[name]
        assert (model.height_px, model.width_px) == spec.size_px
        assert (model.min_side_px, model.learning_rate) == (spec.min_side_px, spec.learning_rate)
        assert (model.application is not None) == spec.has_backbone
        assert (FIGURES[name].weights is not None) == spec.has_backbone


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in FIGURES]
)
def test_models_parameters_and_weights_equal_those_of_keras(name: str) -> None:
    import keras
    from keras.src.utils import file_utils

    from trainers.models.build import build_network
    from trainers.models.networks.keras_applications import build_backbone

    spec = MODELS[name]
    shape = ImageShape(*spec.size_px)
    # Half of the memory; the largest model needs 700 MB. Keras keeps a policy made from `floatx`.
    keras.config.set_dtype_policy("float16")
    try:
        if spec.has_backbone:
            with (
                mock.patch.object(file_utils, "get_file") as get_file,
                mock.patch.object(keras.Model, "load_weights"),
            ):
                network = build_backbone(name, shape.array_shape, weights="imagenet")
            assert get_file.call_args.args[0] == FIGURES[name].weights
            assert network.count_params() == FIGURES[name].parameters
        else:
            network = build_network(Architecture(model=name, shape=shape, classes=7)).model
            logits = network.get_layer("logits")
            assert network.count_params() - logits.count_params() == FIGURES[name].parameters
    finally:
        keras.config.set_dtype_policy("float32")


def test_models_weights_are_found_in_the_folder_of_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert all(model.weights is None for model in sm.models().models)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / str(FIGURES["vgg16"].weights)
    path.touch()
    found = {name: model.weights for name, model in by_name().items() if model.weights}
    assert found == {"vgg16": str(path)}
    assert f"ImageNet weights of 1 model in {tmp_path}/models" in repr(sm.models())


def test_models_command_loads_no_framework_and_prints_what_the_function_returns() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from trainers.cli.models import models; "
        "print(CliRunner().invoke(models, ['--json']).stdout); "
        "assert not {'keras', 'tensorflow', 'jax', 'numpy', 'h5py'} & {*sys.modules}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    printed = json.loads(done.stdout)["models"]
    # Other tests of this process may have registered models.
    assert [model["name"] for model in printed] == [name for name in by_name() if name in MODELS]
    assert printed[0] == {
        "name": "cnn", "application": None, "height_px": 180, "width_px": 180, "min_side_px": 8,
        "parameters": 3_988_640, "top_1_accuracy": None, "learning_rate": 0.001, "weights": None,
    }  # fmt: skip


def test_models_registered_model_is_listed_without_parameters() -> None:
    with mock.patch.dict(REGISTERED):
        sm.register_model(
            "of-this-test", lambda **_: None, image_size=(96, 128), learning_rate=0.01
        )
        listed = sm.models()
    (model,) = (model for model in listed.models if model.name == "of-this-test")
    assert (model.height_px, model.width_px, model.parameters) == (96, 128, None)
    (line,) = (line for line in listed.lines() if line.startswith("of-this-test "))
    assert line.split() == ["of-this-test", "96x128", "1", "-", "-", "0.01", "-"]


def test_models_documentation_has_the_figures() -> None:
    rows = re.findall(
        r"^\| `(\S+)` \| .+ \| \d+ \| \d+ \| ([\d,]+) \| (\S+)(?: %)? \| \S+ \|$",
        PAGE.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert [(name, int(count.replace(",", "")), percent) for name, count, percent in rows] == [
        (name, figures.parameters, str(figures.top_1_percent or "-"))
        for name, figures in FIGURES.items()
    ]
