"""The programs of docs/how-to/distributed-training.md, as two processes with one dataset."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from records.dataset import open_dataset
from tests.libraries.pages import find_program

ROOT = Path(__file__).parents[3]
WORKERS = 2
PAGE = "how-to/distributed-training.md"


def find_ports() -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(WORKERS)]
    ports = [int(server.getsockname()[1]) for server in sockets]
    for server in sockets:
        server.close()
    return ports


def run_workers(program: str, dataset: Path, environments: list[dict[str, str]]) -> list[int]:
    """What each worker's program prints last, as a number."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(dataset)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments
    ]
    try:
        answers = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * WORKERS, answers
    return [int(output.split()[-1]) for output, _ in answers]


def expected_images(dataset: Path) -> int:
    """Those of the train split, and what a smaller part gives twice."""
    records = len(open_dataset(dataset)["train"])
    return records + -records % WORKERS


@pytest.mark.slow
def test_distributed_tensorflow_two_workers_train_on_every_image(shapes: Path) -> None:
    cluster = {"worker": [f"localhost:{port}" for port in find_ports()]}
    environments = [
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
        for index in range(WORKERS)
    ]
    found = run_workers(find_program(PAGE, "TensorFlow"), shapes, environments)
    assert found == [expected_images(shapes)] * WORKERS


@pytest.mark.slow
def test_distributed_jax_two_processes_train_on_every_image(shapes: Path) -> None:
    pytest.importorskip("jax")
    coordinator = f"localhost:{find_ports()[0]}"
    environments = [
        {
            "COORDINATOR": coordinator,
            "PROCESSES": str(WORKERS),
            "PROCESS": str(index),
            "JAX_PLATFORMS": "cpu",
        }
        for index in range(WORKERS)
    ]
    found = run_workers(find_program(PAGE, "JAX"), shapes, environments)
    assert found == [expected_images(shapes)] * WORKERS
