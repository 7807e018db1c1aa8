"""LiteRT files give the scores of `predict`; with int8, nearly."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from records.dataset import open_dataset
from records.errors import InputNotFoundError, UsageError
from tests.trainers.conftest import make_source
from trainers.cli.export import export as export_command
from trainers.export import export
from trainers.export.export import plan_export
from trainers.prediction import Predictor
from trainers.runs.run_dir import open_run

NUMBERS = range(300, 306)


def scores_of_run(run_path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The pixels, and the scores by label, of some images."""
    files = [make_source(number).data for number in NUMBERS]
    predictions = Predictor(run_path).predict(files, top_k=3)
    by_label = [sorted(each.top, key=lambda best: best.label) for each in predictions]
    scores = np.array([[best.score for best in row] for row in by_label])
    return np.stack([each.pixels for each in predictions]), scores  # type: ignore[misc]


def scores_of_file(path: Path, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = tf.lite.Interpreter(str(path)).get_signature_runner()
    assert list(runner.get_input_details()) == ["image"]
    assert runner.get_input_details()["image"]["dtype"] == np.uint8
    return np.stack([runner(image=image[np.newaxis])["scores"][0] for image in pixels])


@pytest.mark.slow
def test_litert_export_gives_scores_of_predict(run_path: Path, tmp_path: Path) -> None:
    folder = Path(export(run_path, tmp_path / "phone", "litert"))
    names = ["README.md", "labels.txt", "model.tflite", "preprocessing.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    pixels, scores = scores_of_run(run_path)
    found = scores_of_file(folder / "model.tflite", pixels)
    np.testing.assert_allclose(found, scores, rtol=0, atol=1e-5)


def test_export_command_int8_reports_agreement_with_the_run(
    run_path: Path, shapes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "phone"
    arguments = [run_path, out, "--format", "litert", "--int8", "--calibrate", shapes, "--json"]
    result = CliRunner().invoke(export_command, list(map(str, arguments)))
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["precision"] == "int8"
    agreement = answer["agreement"]
    assert agreement == json.loads((out / "agreement.json").read_text())
    assert (agreement["split"], agreement["images"]) == ("test", 60)
    assert agreement["same_classes"] >= 57
    assert abs(agreement["run_accuracy"] - agreement["exported_accuracy"]) <= 0.05
    assert "both predict the same classes for" in result.stderr
    assert "quantized to int8" in (out / "README.md").read_text()
    pixels, scores = scores_of_run(run_path)
    found = scores_of_file(out / "model.tflite", pixels)
    assert abs(found - scores).max() <= max(0.1, agreement["largest_difference"])


def test_int8_export_takes_images_of_the_dataset_of_the_run(
    run_path: Path, shapes: Path, tmp_path: Path
) -> None:
    plan = plan_export(run_path, str(tmp_path / "out"), "litert", "int8")
    assert plan.quantization is not None
    assert plan.quantization.dataset.storage.url == open_dataset(shapes).storage.url
    run = open_run(run_path)
    config = msgspec.structs.replace(run.config, dataset=str(tmp_path / "gone"))
    with pytest.raises(InputNotFoundError, match="--calibrate DATASET"):
        plan_export(replace(run, config=config), str(tmp_path / "out"), "litert", "int8")


@pytest.mark.slow
def test_litert_export_float16_is_half_as_large_and_close(run_path: Path, tmp_path: Path) -> None:
    whole = Path(export(run_path, tmp_path / "float32", "litert")) / "model.tflite"
    half = Path(export(run_path, tmp_path / "float16", "litert", precision="float16"))
    half /= "model.tflite"
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    pixels, scores = scores_of_run(run_path)
    np.testing.assert_allclose(scores_of_file(half, pixels), scores, rtol=0, atol=5e-3)


@pytest.mark.usefixtures("refuse_backend")
def test_export_command_contradictory_precision_is_refused_before_loading_keras(
    run_path: Path, tmp_path: Path
) -> None:
    cases = [
        ("--int8 --float16", "cannot be used together"),
        ("--calibrate data", "--calibrate has an effect only with --int8"),
        ("--float16 --calibrate data", "--calibrate has an effect only with --int8"),
        ("--format keras --float16", "the format keras has no precision float16"),
    ]
    for options, message in cases:
        arguments = [str(run_path), str(tmp_path / "out"), "--format", "litert", *options.split()]
        error = CliRunner().invoke(export_command, arguments).exception
        assert isinstance(error, UsageError)
        assert message in str(error)
    assert not (tmp_path / "out").exists()
