"""Command `serve` as a process: signals under load, log, memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.trainers.serving.client import Client, head, read_answer
from tests.trainers.serving.processes import SECONDS, running

pytestmark = pytest.mark.slow
CLIENTS = 16


def load(client: Client, image: bytes, outcomes: Counter[str], *, keep_alive: bool) -> None:
    """Send requests until the server refuses connections; count what became of each."""
    headers = {} if keep_alive else {"Connection": "close"}
    connection = HTTPConnection(*client.address, timeout=SECONDS)
    while True:
        try:
            if connection.sock is None:
                connection.connect()
        except ConnectionError:
            outcomes["refused"] += 1
            return
        try:
            connection.request("POST", "/v1/predict", image, headers)
            response = connection.getresponse()
            content = json.loads(response.read())
            outcomes[str(response.status)] += 1
            assert response.status == 503 or content["predictions"]
        except (OSError, HTTPException, ValueError) as error:
            outcomes[f"lost: {error!r}"] += 1
            connection.close()


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_under_load_loses_no_request(
    run_path: Path, images: list[bytes], number: int, *, keep_alive: bool
) -> None:
    outcomes: Counter[str] = Counter()
    with running(run_path) as server:
        threads = [
            threading.Thread(
                target=load,
                args=(server.client, images[at % len(images)], outcomes),
                kwargs={"keep_alive": keep_alive},
            )
            for at in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        while outcomes["200"] < 10 * CLIENTS:
            time.sleep(0.05)
        assert server.stop(number) == 0, server.stderr
        for thread in threads:
            thread.join(SECONDS)
    assert {key for key in outcomes if key not in {"200", "503"}} == {"refused"}, outcomes
    assert "to answer before the end" in server.stderr


def test_signal_upload_in_progress_is_answered(run_path: Path, images: list[bytes]) -> None:
    with running(run_path) as server:
        with server.client.connect() as connection:
            connection.sendall(head(Content_Length=len(images[0])) + images[0][:100])
            server.client.predict(images[0])
            server.process.send_signal(signal.SIGTERM)
            time.sleep(2)
            connection.sendall(images[0][100:])
            answer = read_answer(connection)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert server.stop() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_second_signal_ends_the_server_at_once(run_path: Path, number: int, code: int) -> None:
    with running(run_path) as server, server.client.connect() as connection:
        connection.sendall(head(Content_Length=1000))
        server.client.get("/healthz")
        server.process.send_signal(number)
        time.sleep(1)
        started_at = time.monotonic()
        assert server.stop(number) == code
        assert time.monotonic() - started_at < 20  # the upload has 30 s


def test_upload_that_does_not_end_delays_the_stop_by_its_time_limit(run_path: Path) -> None:
    with running(run_path, "--upload-seconds", 3) as server, server.client.connect() as connection:
        connection.sendall(head(Content_Length=1000))
        server.client.get("/healthz")
        server.process.send_signal(signal.SIGTERM)
        assert read_answer(connection).status == 408
        assert server.stop() == 0


def test_json_log_has_a_line_per_request(run_path: Path, images: list[bytes]) -> None:
    with running(run_path, "--log-format", "json", "--json", "--name", "m") as server:
        assert json.loads(server.output) == {"url": server.client.url, "name": "m"}
        server.client.predict(images[0])
        server.client.get("/secret?token=1")
        assert server.stop(signal.SIGTERM) == 0
        lines = [json.loads(line) for line in server.stderr.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert [(line["method"], line["path"], line["status"]) for line in requests] == [
        ("POST", "/v1/predict", 200),
        ("GET", "/secret", 404),
    ]
    assert lines[-1]["message"] == "ended"
    assert lines[-1]["exit_code"] == 0


def peak_bytes(process: subprocess.Popen[str]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def attack(send: Callable[[], None], clients: int) -> None:
    threads = [threading.Thread(target=send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)


def test_many_large_uploads_use_bounded_memory(run_path: Path, images: list[bytes]) -> None:
    """Send a hundred uploads of 5 MB each; the limit is 16 bodies in memory."""
    body = head(Content_Length=5_000_000) + bytes(4_999_999)

    def send() -> None:
        with server.client.connect() as connection:
            connection.sendall(body)
            assert read_answer(connection).status in {408, 503}

    with running(run_path, "--max-upload-mb", 5, "--upload-seconds", 5) as server:
        server.client.predict(images[0])
        before = peak_bytes(server.process)
        attack(send, 100)
        assert peak_bytes(server.process) - before < 250_000_000
        assert server.client.predict(images[0]).status == 200


def test_start_with_port_in_use_or_absent_run_ends_with_one_line(
    run_path: Path, tmp_path: Path
) -> None:
    def serve(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "shardmill", "serve", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with running(run_path) as server:
        host, port = server.client.address
        ended = serve(run_path, "--port", port)
    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr == (
        f"shardmill: {host}:{port}: another program uses the port; choose another port, "
        "or 0 for any free port: --port 0\n"
    )
    assert serve(tmp_path / "absent").returncode == 66
    assert serve(run_path, "--host", "no.such.host.invalid").returncode == 2
