"""OpenVINO files give the scores of `predict`, and have the class names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.trainers.conftest import LABELS, make_source
from trainers.export import export
from trainers.prediction import Predictor


@pytest.mark.slow
def test_openvino_export_gives_scores_of_predict(run_path: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="needs shardmill[openvino]: no openvino")
    folder = Path(export(run_path, tmp_path / "intel", "openvino"))
    names = ["README.md", "labels.txt", "model.bin", "model.xml", "preprocessing.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    results = Predictor(run_path).predict([make_source(n).data for n in range(300, 304)], top_k=3)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.compile_model(folder / "model.xml", "CPU", settings)
    pixels = np.stack([each.pixels for each in results])  # type: ignore[misc]
    found = model({"image": pixels})["scores"]
    for row, result in zip(found, results, strict=True):
        expected = [best.score for best in sorted(result.top, key=lambda best: best.label)]
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-5)
    stored = openvino.Core().read_model(folder / "model.xml")
    labels = stored.get_rt_info(["shardmill", "labels"]).astype(str)
    assert json.loads(labels) == list(LABELS)
