"""Server in programs of users: `sm.serve` and `sm.serving_app`."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

import shardmill as sm
from records.errors import LockedError
from tests.trainers.serving.client import Client
from trainers.serving.server import listen

pytestmark = pytest.mark.slow
SECONDS = 60
# As in a notebook, an event loop runs in the main thread.
PROGRAM = """
import asyncio, os, signal, sys, threading
import shardmill as sm

def stop(url):
    print(url)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

async def main():
    return sm.serve(sys.argv[1], port=0, on_start=stop)

print(asyncio.run(main()))
"""


def test_serving_app_mounted_in_another_application_answers_below_its_path(
    run_path: Path, images: list[bytes]
) -> None:
    served = sm.serving_app(run_path, name="flowers", reject_below="auto")
    app = Starlette(routes=[Mount("/flowers", served)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        host, port = listener.getsockname()
        client = Client(f"http://{host}:{port}/")
        answer = client.post("/flowers/v1/predict", images[0])
        [prediction] = answer.json["predictions"]
        assert len(prediction["classes"]) == 1
        [expected] = sm.Predictor(run_path, reject_below="auto").predict(images[0])
        assert prediction["none_of_these"] == expected.none_of_these
        assert client.get("/flowers/v1/model").json["reject_below"] == "auto"
        assert isinstance(client.get("/flowers/v2/models/absent").json["error"], str)
        assert b"page.js" in client.get("/flowers/").content
        assert client.get("/v1/model").status == 404
        server.should_exit = True
        thread.join(SECONDS)
    assert not thread.is_alive()


def test_serve_in_a_program_with_an_event_loop_ends_with_ctrl_c(run_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, run_path],
        capture_output=True, text=True, check=False, timeout=SECONDS * 5,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    url, unanswered = ended.stdout.split()
    assert url.startswith("http://127.0.0.1:")
    assert unanswered == "0"


def test_serve_port_in_use_is_an_error_before_the_model_is_loaded(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(LockedError):
        sm.serve(tmp_path / "absent", port=listener.getsockname()[1])
