"""Exported models say what `predict` says, where this program cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from records.errors import InputNotFoundError, OutputError, UsageError
from tests.trainers.conftest import draw_shape, encode
from trainers.cli.export import export as export_command
from trainers.export import export
from trainers.prediction import Predictor
from trainers.runs.run_dir import open_run

_USE_ELSEWHERE = """
import json, sys
for name in ("trainers", "records", "pipelines", "shardmill"):
    sys.modules[name] = None  # no import of them succeeds
import keras, numpy as np, tensorflow as tf
folder, files = sys.argv[1], sys.argv[2:]
loaded = tf.saved_model.load(f"{folder}/saved")
served = loaded.signatures["serving_default"](
    image=tf.constant([open(file, "rb").read() for file in files])
)
pixels = np.load(f"{folder}/pixels.npy")
ranked = loaded.signatures["pixels"](image=tf.constant(pixels))
model = keras.models.load_model(f"{folder}/keras/model.keras", safe_mode=True)
print(json.dumps({
    "classes": [[name.decode() for name in row] for row in served["classes"].numpy()],
    "scores": served["scores"].numpy().tolist(),
    "pixels": ranked["scores"].numpy().tolist(),
    "keras": model.predict(pixels, verbose=0).tolist(),
}))
"""


def write_files(folder: Path) -> list[Path]:
    """Upright images: RGB and grey, JPEG and PNG."""
    images: list[tuple[Image.Image, str]] = []
    for number in range(300, 304):
        shape = draw_shape(number)
        images += [(shape, "JPEG"), (shape, "PNG")]
        images += [(shape.convert("L"), "JPEG"), (shape.convert("L"), "PNG")]
    paths = []
    for number, (image, kind) in enumerate(images):
        paths.append(folder / f"{number}.{kind.lower()}")
        paths[-1].write_bytes(encode(image, kind))
    return paths


@pytest.mark.slow
def test_export_loaded_without_shardmill_gives_scores_of_predict(
    run_path: Path, tmp_path: Path
) -> None:
    run = open_run(run_path)
    saved = Path(export(run_path, tmp_path / "saved", "saved_model"))
    for folder in (saved, Path(export(run, tmp_path / "keras"))):
        assert (folder / "labels.txt").read_bytes() == (run_path / "labels.txt").read_bytes()
    files = write_files(tmp_path)
    results = Predictor(run).predict([file.read_bytes() for file in files], top_k=3)
    expected = [result for result in results if result.rejection is None]
    assert len(expected) == len(files)
    pixels: Any = [prediction.pixels for prediction in expected]
    np.save(tmp_path / "pixels.npy", pixels)
    command = [sys.executable, "-c", _USE_ELSEWHERE, str(tmp_path), *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    answers = json.loads(ended.stdout)
    for number, prediction in enumerate(expected):
        scores = [best.score for best in prediction.top]
        assert answers["classes"][number] == [best.name for best in prediction.top]
        np.testing.assert_allclose(answers["scores"][number], scores, rtol=0, atol=1e-5)
        np.testing.assert_allclose(answers["pixels"][number], scores, rtol=0, atol=1e-5)
        by_label = [best.score for best in sorted(prediction.top, key=lambda best: best.label)]
        np.testing.assert_allclose(answers["keras"][number], by_label, rtol=0, atol=1e-5)


def test_export_command_prints_how_to_load_the_model(run_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "er"
    result = CliRunner().invoke(export_command, [str(run_path), str(out)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f'keras.models.load_model("{out}/model.keras")\n'
    names = ["README.md", "labels.txt", "model.keras", "preprocessing.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert [path.name for path in out.parent.iterdir()] == ["er"]


@pytest.mark.usefixtures("refuse_backend")
def test_export_command_invalid_arguments_are_refused_before_loading_keras(
    run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    cases: list[tuple[list[object], type[Exception], str]] = [
        ([tmp_path, tmp_path / "out"], InputNotFoundError, "not a run folder"),
        ([run_path, tmp_path / "taken"], OutputError, "the output exists and is not"),
        ([run_path, tmp_path / "taken" / "file"], OutputError, "the output exists"),
        ([run_path, tmp_path / "out", "--format", "onnx"], UsageError, "tf2onnx is not installed"),
    ]
    for arguments, kind, message in cases:
        error = CliRunner().invoke(export_command, list(map(str, arguments))).exception
        assert isinstance(error, kind)
        assert message in str(error)
    assert not (tmp_path / "out").exists()


def test_export_jax_backend_is_refused(
    run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(UsageError, match="set KERAS_BACKEND=tensorflow"):
        export(open_run(run_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_export_unknown_format_is_refused(run_path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown export format, .*; did you mean saved_model"):
        export(run_path, tmp_path / "out", "savedmodel")
    assert not (tmp_path / "out").exists()
