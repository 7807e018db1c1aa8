"""A run that predicts a number per image is served."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.trainers.drawn import FILES
from tests.trainers.serving.in_thread import serving
from trainers.prediction import Predictor
from trainers.serving.limits import Limits


@pytest.mark.slow
def test_serve_gives_a_number_per_image(drawn_run: Path, new: Path) -> None:
    images = [(new / f"{number}.png").read_bytes() for number in FILES]
    expected = [each.value for each in Predictor(drawn_run).predict(images)]
    with serving(drawn_run, "discs", Limits()) as served:
        found = [served.client.predict(image).json["predictions"][0] for image in images]
        model = served.client.get("/v1/model").json
        refused = served.client.predict(images[0], "?top_k=3")
        data = [base64.b64encode(image).decode() for image in images]
        tensor = {"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}
        body = json.dumps({"inputs": [tensor]}).encode()
        outputs = served.client.post("/v2/models/discs/infer", body).json["outputs"]
    assert (model["task"], model["target"], model["classes"]) == ("regression", "area", [])
    assert [each.keys() for each in found] == [{"file", "value"}] * len(images)
    assert [each["value"] for each in found] == pytest.approx(expected, abs=1e-3)
    assert (refused.status, refused.json["error"]["got"]) == (400, "top_k 3")
    (value,) = outputs
    assert (value["name"], value["shape"]) == ("value", [len(images)])
    assert value["data"] == pytest.approx(expected, abs=1e-3)
