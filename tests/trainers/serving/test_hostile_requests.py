"""Uploads that are refused: large, endless, slow, or no images."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.records.images.bombs import chunk, in_png
from tests.trainers.serving.client import FORM_TYPE, Client, form, head, read_answer
from tests.trainers.serving.conftest import LIMITS
from tests.trainers.serving.in_thread import Served, serving

SIZE = LIMITS.max_upload_bytes
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"


def make_bomb(side_px: int) -> bytes:
    """Return a small PNG file with many pixels."""
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side_px + 1) * side_px))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.fixture(autouse=True)
def still_answers(client: Client, images: list[bytes]) -> Iterator[None]:
    """Check after each test that the server answers, and holds no memory."""
    yield
    assert client.predict(images[0]).status == 200


@pytest.fixture(scope="module")
def impatient(run_path: Path) -> Iterator[Client]:
    """Return the client of a server that waits for an upload for 0.2 s."""
    with serving(run_path, "shapes", msgspec.structs.replace(LIMITS, upload_seconds=0.2)) as server:
        yield server.client


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "empty"),
        (b"no image", "corrupt"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported"),
        (make_bomb(3000), "too-large"),
        (in_png(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000)))), None),
    ],
)
def test_file_without_a_prediction_is_refused_with_its_reason(
    client: Client, image: bytes, reason: str | None
) -> None:
    answer = client.predict(image)
    if reason is None:
        assert answer.status == 200  # costly metadata is not decoded
        return
    assert answer.status == 422
    assert answer.json["error"]["what"] == "no prediction for 1 image"
    assert answer.json["error"]["got"].startswith(f"{reason}: ")
    assert answer.json["predictions"][0]["reason"] == reason


def test_truncated_file_is_refused(client: Client, images: list[bytes]) -> None:
    answer = client.predict(images[0][:-40])
    assert (answer.status, answer.json["predictions"][0]["reason"]) == (422, "truncated")


@pytest.mark.parametrize("length", [SIZE + 1, 1_000_000_000, 10**19])
def test_declared_length_above_the_limit_is_refused_before_the_upload(
    client: Client, length: int
) -> None:
    with client.connect() as connection:
        connection.sendall(head(Content_Length=length))
        answer = read_answer(connection)
    assert (answer.status, answer.json["error"]["what"]) == (413, "the upload is too large")
    assert answer.headers["connection"] == "close"


def test_client_that_waits_for_the_permission_to_send_is_refused(client: Client) -> None:
    with client.connect() as connection:
        connection.sendall(head(Content_Length=10**9, Expect="100-continue"))
        assert read_answer(connection).status == 413


def test_endless_upload_is_refused_and_its_connection_closed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.serving.unread_body._LINGER_SECONDS", 0.2)
    with client.connect() as connection:
        connection.sendall(head(Transfer_Encoding="chunked"))
        started_at = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() < started_at + 30:
                connection.sendall(CHUNK)
        assert time.monotonic() < started_at + 30, "the server reads on"


def test_client_reads_the_refusal_while_it_sends(client: Client) -> None:
    with client.connect() as connection:
        connection.sendall(head(Transfer_Encoding="chunked"))
        for _ in range(8):
            connection.sendall(CHUNK)
        answer = read_answer(connection)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("headers", [{"Content_Length": 1000}, {"Transfer_Encoding": "chunked"}])
def test_slow_upload_is_refused(impatient: Client, headers: dict[str, object]) -> None:
    with impatient.connect() as connection:
        connection.sendall(head(**headers))
        answer = read_answer(connection)
    assert (answer.status, answer.json["error"]["what"]) == (408, "the upload took too long")


@pytest.mark.parametrize("sent", [b"", b"POST /v1/pre"])
def test_connection_without_a_complete_head_is_closed(
    client: Client, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.serving.connections._HEAD_SECONDS", 0.2)
    with client.connect() as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""


def test_upload_that_ends_early_is_not_predicted(client: Client) -> None:
    with client.connect() as connection:
        connection.sendall(head(Content_Length=1000) + b"abc")
        connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/x\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
def test_invalid_http_is_answered_or_closed(client: Client, garbage: bytes) -> None:
    with client.connect() as connection, contextlib.suppress(OSError):  # closed already
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        received = connection.recv(65536)
        assert received == b"" or received.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("body", "kind", "status", "what"),
    [
        (b"{}", "application/json", 415, "the body is JSON"),
        (b"", "multipart/form-data", 400, "the form is invalid"),
        (b"no form", FORM_TYPE, 400, "the form"),
        (form([]), FORM_TYPE, 400, "the form"),
        (form([("a", b"x")])[:-20], FORM_TYPE, 400, "the form"),
        (form([("x", b"x")] * 71), FORM_TYPE, 400, "the form is invalid"),
        (b"--bound\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--bound--\r\n",
         FORM_TYPE, 400, "the form contains no file"),
        *((form([("a", b"x")]), f"{FORM_TYPE}; charset={charset}", 400,
           "the form has an unsupported charset")
          for charset in ("punycode", "idna", "undefined", "utf-7", "rot13", "x" * 1000)),
    ],
)  # fmt: skip
def test_invalid_form_is_refused(
    client: Client, body: bytes, kind: str, status: int, what: str
) -> None:
    answer = client.post("/v1/predict", body, Content_Type=kind)
    assert answer.status == status, answer
    assert answer.json["error"]["what"].startswith(what)


def test_full_queue_is_refused_until_images_are_answered(
    served: Served, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    prepare = served.state.model.predictor.prepare

    def wait(image: bytes) -> object:
        released.wait(60)
        return prepare(image)

    statuses: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(served.state.model.predictor, "prepare", wait)
        files = form([(str(number), images[0]) for number in range(LIMITS.max_queue)])
        send = lambda: statuses.append(  # noqa: E731
            served.client.post("/v1/predict", files, Content_Type=FORM_TYPE).status
        )
        thread = threading.Thread(target=send)
        thread.start()
        while served.state.model.batcher.waiting < LIMITS.max_queue:
            time.sleep(0.01)
        refused = served.client.predict(images[0])
        released.set()
        thread.join(60)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.json["error"]["what"] == "too many images are waiting"
    assert statuses == [200]


def test_uploads_that_need_too_much_memory_are_refused(
    served: Served, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.serving.limits._UPLOADS_IN_MEMORY", 1)
    with served.client.connect() as connection:
        connection.sendall(head(Content_Length=SIZE) + bytes(SIZE - 1))
        statuses = {served.client.predict(images[0]).status for _ in range(20)}
        connection.sendall(b"\0")
        statuses.add(read_answer(connection).status)
    assert 503 in statuses
    assert statuses <= {200, 422, 503}
