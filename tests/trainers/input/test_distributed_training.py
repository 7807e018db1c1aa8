"""The programs of docs/how-to/distributed-training.md, as two processes with one dataset."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from records.dataset import open_dataset
from tests.trainers.conftest import write_shapes

ROOT = Path(__file__).parents[3]
WORKERS = 2
READ_WITH_WORKERS = """
import sys
import torch
from torch.utils.data import DataLoader
from records import open_dataset
from train import Images

images = Images(open_dataset(sys.argv[1])["train"], side_px=8)
expected = [images[number] for number in range(len(images))]  # files and indexes are open now
loader = DataLoader(images, None, num_workers=2, multiprocessing_context=sys.argv[2])
for (pixels, label), found in zip(expected, loader, strict=True):
    assert torch.equal(pixels, found[0])
    assert label == found[1]
print(len(expected))
"""


def find_program(heading: str) -> str:
    page = (ROOT / "docs" / "how-to" / "distributed-training.md").read_text()
    found = re.search(rf"^## {heading}.*?^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


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
    found = run_workers(find_program("TensorFlow"), shapes, environments)
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
    found = run_workers(find_program("JAX"), shapes, environments)
    assert found == [expected_images(shapes)] * WORKERS


@pytest.fixture(scope="session")
def torch_python() -> Path:
    """The interpreter that `make torch-test` makes: it has PyTorch, and no TensorFlow."""
    python = ROOT / ".torch" / "bin" / "python"
    if not python.exists():
        pytest.skip("needs PyTorch in .torch; `make torch-test` makes it")
    return python


def run_torch(python: Path, folder: Path, *arguments: str) -> list[int]:
    """What a program prints, as numbers; `train` is the page's."""
    (folder / "train.py").write_text(find_program("PyTorch"))
    ended = subprocess.run(
        [python, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [int(number) for number in ended.stdout.split()]


@pytest.mark.slow
def test_distributed_torch_odd_record_count_gives_equal_steps(
    torch_python: Path, tmp_path: Path
) -> None:
    records = 65  # without `pad` one process would take 5 steps, the other 4
    write_shapes(tmp_path / "data", {"train": [range(40), range(40, records)]})
    launch = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORKERS}")
    found = run_torch(torch_python, tmp_path, *launch, "train.py", "data")
    assert found == [records + 1] * WORKERS


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_torch_data_loader_worker_processes_give_same_images(
    torch_python: Path, tmp_path: Path, shapes: Path, start_method: str
) -> None:
    found = run_torch(torch_python, tmp_path, "-c", READ_WITH_WORKERS, str(shapes), start_method)
    assert found == [len(open_dataset(shapes)["train"])]
