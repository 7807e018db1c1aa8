"""A run of any number of labels per image is served."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.trainers.drawn import FILES, NAMES
from tests.trainers.serving.in_thread import serving
from trainers.prediction import Predictor
from trainers.serving.limits import Limits


@pytest.mark.slow
def test_serve_gives_classes_that_reach_their_thresholds(drawn_run: Path, new: Path) -> None:
    images = [(new / f"{number}.png").read_bytes() for number in FILES]
    predictor = Predictor(drawn_run)
    expected = predictor.predict(images, top_k=3)
    with serving(drawn_run, "shapes", Limits()) as served:
        found = [served.client.predict(image, "?top_k=3").json for image in images]
        model = served.client.get("/v1/model").json
        data = [base64.b64encode(image).decode() for image in images]
        tensor = {"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}
        body = json.dumps({"inputs": [tensor]}).encode()
        outputs = served.client.post("/v2/models/shapes/infer", body).json["outputs"]
    assert (model["task"], model["classes"]) == ("multi-label", list(NAMES))
    assert model["thresholds"] == list(predictor.thresholds)
    for answer, prediction in zip(found, expected, strict=True):
        (result,) = answer["predictions"]
        assert [each["class"] for each in result["predicted"]] == list(prediction.names)
        assert [each["label"] for each in result["classes"]] == [it.label for it in prediction.top]
    tensors = {each["name"]: each["data"] for each in outputs}
    assert list(tensors) == ["classes", "scores", "thresholds"]
    top = [each for prediction in expected for each in prediction.top]
    assert tensors["classes"] == [each.name for each in top]
    assert tensors["scores"] == pytest.approx([each.score for each in top], abs=1e-6)
    assert tensors["thresholds"] == [predictor.thresholds[each.label] for each in top]
