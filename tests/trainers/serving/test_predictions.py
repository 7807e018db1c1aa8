"""Answers of the REST interface and of the V2 protocol."""

from __future__ import annotations

import base64
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from records.errors import LockedError, UsageError
from tests.trainers.conftest import LABELS, draw_shape, encode
from tests.trainers.serving.client import FORM_TYPE, Client, form
from tests.trainers.serving.in_thread import Served
from trainers.prediction import Predictor
from trainers.prediction.output import encode_json, to_result
from trainers.serving.app import load_model
from trainers.serving.limits import Limits
from trainers.serving.server import listen


@pytest.fixture(scope="module")
def expected(run_path: Path, images: list[bytes]) -> list[Any]:
    """Return the objects that `predict --json` prints."""
    predictions = Predictor(run_path).predict(images, top_k=3)
    return [json.loads(encode_json(to_result("body", each))) for each in predictions]


def assert_equal(found: Any, expected: Any) -> None:
    """Compare predictions; scores depend a little on the size of a batch."""
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert_equal(found[name], value)
    else:
        assert found == (
            pytest.approx(expected, abs=1e-6) if isinstance(expected, float) else expected
        )


def test_predict_64_clients_at_once_get_the_objects_of_predict(
    client: Client, images: list[bytes], expected: list[Any]
) -> None:
    numbers = [number % len(images) for number in range(64)]
    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(lambda n: client.predict(images[n], "?top_k=3"), numbers))
    assert {answer.status for answer in answers} == {200}
    assert_equal([it.json for it in answers], [{"predictions": [expected[n]]} for n in numbers])


def test_predict_default_is_the_best_class(client: Client, images: list[bytes]) -> None:
    (prediction,) = client.predict(images[0]).json["predictions"]
    assert len(prediction["classes"]) == 1


def test_predict_connection_stays_open_for_further_requests(
    client: Client, images: list[bytes]
) -> None:
    connection = HTTPConnection(*client.address, timeout=60)
    for _ in range(3):
        connection.request("POST", "/v1/predict", images[0])
        assert connection.getresponse().read().startswith(b'{"predictions"')
    connection.close()


def test_predict_form_gets_one_object_per_file_in_order(
    client: Client, images: list[bytes], expected: list[Any]
) -> None:
    webp = encode(draw_shape(300), "WEBP")
    files = [("a b.jpg", images[0]), ("<b>&\u202e.png", b"no image"), ("c.webp", webp)]
    answer = client.post("/v1/predict?top_k=3", form(files), Content_Type=FORM_TYPE)
    assert answer.status == 200
    one, two, three = answer.json["predictions"]
    assert_equal(one, {**expected[0], "file": "a b.jpg"})
    assert (two["file"], two["reason"]) == ("<b>&\u202e.png", "corrupt")
    assert three["classes"][0]["class"] == expected[0]["classes"][0]["class"]


@pytest.mark.parametrize(
    ("query", "got"), [("?top_k=0", "0"), ("?top_k=-1", "-1"), ("?top_k=", ""), ("?top_k=x", "x")]
)
def test_predict_invalid_top_k_is_refused(
    client: Client, images: list[bytes], query: str, got: str
) -> None:
    answer = client.predict(images[0], query)
    assert answer.status == 400
    assert answer.json["error"]["what"] == "invalid top_k"
    assert answer.json["error"]["got"] == got


def test_predict_top_k_above_the_number_of_classes_gives_all(
    client: Client, images: list[bytes]
) -> None:
    answer = client.predict(images[0], "?top_k=99999999999999999999")
    assert len(answer.json["predictions"][0]["classes"]) == len(LABELS)


@pytest.mark.parametrize(
    ("method", "path", "status", "what"),
    [
        ("GET", "/absent", 404, "not found"),
        ("GET", "/v1/predict", 405, "method not allowed"),
        ("DELETE", "/healthz", 405, "method not allowed"),
        ("POST", "/%2e%2e/etc/passwd", 404, "not found"),
    ],
)
def test_unknown_address_is_an_error_as_json(
    client: Client, method: str, path: str, status: int, what: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status, answer.json) == (status, {"error": {"what": what}})


def test_model_describes_the_run(client: Client) -> None:
    model = client.get("/v1/model").json
    assert model["classes"] == list(LABELS)
    assert (model["name"], model["model"], model["task"]) == ("shapes", "cnn", "classification")
    assert (model["height_px"], model["width_px"], model["channels"]) == (24, 32, 3)
    assert str(Path.home()) not in json.dumps(model)


def test_health_and_metrics_count_requests(client: Client, images: list[bytes]) -> None:
    assert client.get("/healthz").content == client.get("/readyz").content == b"ok\n"

    def read() -> dict[tuple[str, str], float]:
        text = client.get("/metrics").content.decode()
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return {(s.name, json.dumps(s.labels, sort_keys=True)): s.value for s in samples}

    def key(name: str, **labels: str) -> tuple[str, str]:
        return f"shardmill_serve_{name}", json.dumps(labels, sort_keys=True)

    before = read()
    client.predict(images[0])
    client.predict(b"no image")
    client.get("/absent")
    after = read()
    changes = {
        key("requests_total", endpoint="predict", status="200"): 1,
        key("requests_total", endpoint="predict", status="422"): 1,
        key("requests_total", endpoint="unknown", status="404"): 1,
        key("rejected_requests_total", reason="no-prediction"): 1,
        key("request_seconds_count", endpoint="predict"): 2,
        key("batch_images_sum"): 1,
    }
    assert {name: after[name] - before.get(name, 0) for name in changes} == changes
    assert after[key("queue_images")] == 0


def test_predict_failure_of_the_model_is_an_error_without_details(
    served: Served, images: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(_images: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(logging.getLogger("shardmill"), "propagate", True)
    with monkeypatch.context() as patch:
        patch.setattr(served.state.model.predictor, "outputs", fail)
        answer = served.client.predict(images[0])
    assert (answer.status, answer.json) == (500, {"error": {"what": "the server failed"}})
    assert "RuntimeError: secret detail" in caplog.text
    assert served.client.predict(images[0]).status == 200


def infer_body(data: list[str], shape: list[int], **more: Any) -> bytes:
    tensor = {"name": "image", "datatype": "BYTES", "shape": shape, "data": data}
    return json.dumps({"inputs": [tensor], **more}).encode()


class TestV2:
    def test_server_and_model_are_described(self, client: Client) -> None:
        assert client.get("/v2").json["name"] == "shardmill"
        assert client.get("/v2/health/live").json == {"live": True}
        assert client.get("/v2/health/ready").json == {"ready": True}
        assert client.get("/v2/models/shapes/ready").json == {"name": "shapes", "ready": True}
        model = client.get("/v2/models/shapes").json
        assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        assert [(each["name"], each["shape"]) for each in model["outputs"]] == [
            ("classes", [-1, 3]),
            ("scores", [-1, 3]),
        ]

    def infer(self, client: Client, images: list[bytes], **more: Any) -> Any:
        data = [base64.b64encode(image).decode() for image in images]
        return client.post("/v2/models/shapes/infer", infer_body(data, [len(data)], **more))

    def test_infer_gives_the_tensors_of_predict(
        self, client: Client, images: list[bytes], expected: list[Any]
    ) -> None:
        answer = self.infer(client, images, id="42")
        assert answer.status == 200
        assert (answer.json["model_name"], answer.json["id"]) == ("shapes", "42")
        classes, scores = answer.json["outputs"]
        assert classes["shape"] == scores["shape"] == [len(images), 3]
        best = [each for row in expected for each in row["classes"]]
        assert classes["data"] == [each["class"] for each in best]
        assert scores["data"] == pytest.approx([each["score"] for each in best], abs=1e-6)

    def test_infer_gives_only_the_outputs_that_are_asked_for(
        self, client: Client, images: list[bytes]
    ) -> None:
        answer = self.infer(client, images[:1], outputs=[{"name": "scores"}])
        assert [each["name"] for each in answer.json["outputs"]] == ["scores"]

    @pytest.mark.parametrize(
        ("body", "status", "text"),
        [
            (b"{", 400, "V2 protocol"),
            (b"[]", 400, "V2 protocol"),
            (b'{"x": ' + b"[" * 100_000, 400, "V2 protocol"),
            (b'{"inputs": []}', 400, "unknown inputs"),
            (infer_body(["eA=="], [2]), 400, "shape"),
            (infer_body([], [0]), 400, "shape"),
            (infer_body(["%"], [1]), 400, "base64"),
            (infer_body(["eA=="], [1]), 422, "no prediction for 1 image"),
            (infer_body(["eA=="], [1], outputs=[{"name": "x"}]), 400, "unknown output"),
            (infer_body(["eA=="], [1], outputs=[{"name": "scores"}] * 2), 400, "requested twice"),
        ],
    )
    def test_infer_invalid_request_is_an_error_as_text(
        self, client: Client, body: bytes, status: int, text: str
    ) -> None:
        answer = client.post("/v2/models/shapes/infer", body)
        assert answer.status == status
        assert text in answer.json["error"]

    def test_unknown_model_is_not_found(self, client: Client) -> None:
        answer = client.get("/v2/models/absent")
        assert (answer.status, answer.json["error"][:15]) == (404, "model not found")


def test_listen_port_in_use_is_an_error_with_a_remedy(client: Client) -> None:
    with pytest.raises(LockedError, match="another program uses the port; choose another port"):
        listen(*client.address)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 300, ""])
def test_listen_address_that_is_not_of_this_machine_is_an_error(host: str) -> None:
    with pytest.raises(UsageError, match="cannot listen on this address"):
        listen(host, 0)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ü"])
def test_name_that_needs_an_escape_is_refused(run_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="invalid name of a model"):
        load_model(run_path, name, Limits())
