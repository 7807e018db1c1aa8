"""PyTorch reads datasets: several processes, worker processes, and epochs that are continued."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import shardmill as sm
from records.dataset import open_dataset
from tests.libraries.environments import interpreter, library_environ, run_python
from tests.libraries.pages import find_program
from tests.trainers.conftest import write_shapes

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

pytestmark = pytest.mark.slow


def run_torch(folder: Path, *arguments: str) -> list[int]:
    """What a program prints, as numbers; `train` is that of the page."""
    program = find_program("how-to/distributed-training.md", "PyTorch")
    (folder / "train.py").write_text(program)
    return [int(number) for number in run_python("torch", folder, *arguments).split()]


def test_distributed_torch_odd_record_count_gives_equal_steps(tmp_path: Path) -> None:
    records = 65  # without `pad` one process would take 5 steps, the other 4
    write_shapes(tmp_path / "data", {"train": [range(40), range(40, records)]})
    launch = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORKERS}")
    assert run_torch(tmp_path, *launch, "train.py", "data") == [records + 1] * WORKERS


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_torch_data_loader_worker_processes_give_same_images(
    tmp_path: Path, squares: Path, start_method: str
) -> None:
    found = run_torch(tmp_path, "-c", READ_WITH_WORKERS, str(squares), start_method)
    assert found == [len(open_dataset(squares)["train"])]


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_torch_stateful_loader_continues_with_the_same_batches(
    tmp_path: Path, squares: Path, start_method: str
) -> None:
    program = ("-m", "tests.libraries.programs.torch_resume")
    run_python("torch", tmp_path, *program, squares, start_method)


def test_torch_program_of_page_killed_twice_trains_the_same_model(
    tmp_path: Path, squares: Path
) -> None:
    (tmp_path / "train.py").write_text(find_program("how-to/data-loaders.md", "Resume an epoch"))
    expected = run_python("torch", tmp_path, "train.py", squares, "whole.pt")
    checkpoint = tmp_path / "killed.pt"
    for _ in range(2):
        kill_after_checkpoint(tmp_path, squares, checkpoint)
    assert run_python("torch", tmp_path, "train.py", squares, checkpoint) == expected
    assert expected.startswith("epoch 3")


def kill_after_checkpoint(folder: Path, dataset: Path, checkpoint: Path) -> None:
    """Start the program, and kill it as soon as it has saved a new checkpoint."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    command: list[str | Path] = [interpreter("torch"), "train.py", dataset, checkpoint]
    with subprocess.Popen(command, cwd=folder, env=library_environ()) as process:
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


_SCORE = """
import json, sys
import numpy as np, torch
classify = torch.export.load("exported/model.pt2").module()
pixels = torch.from_numpy(np.load("pixels.npy"))
print(json.dumps(classify(pixels).tolist()))
"""


def test_torch_program_of_keras_gives_scores_of_predict(tmp_path: Path, squares: Path) -> None:
    sm.train(squares, tmp_path / "run", model="cnn", epochs=1)
    sm.export(tmp_path / "run", tmp_path / "exported")
    records = open_dataset(squares)["test"][:5]
    np.save(tmp_path / "pixels.npy", np.stack([record.decode() for record in records]))
    program = find_program("how-to/serving.md", "Run a model in PyTorch")
    assert run_python("torch", tmp_path, "-c", program) == "torch.Size([2, 3])\n"
    found = json.loads(run_python("torch", tmp_path, "-c", _SCORE))
    predictions = sm.Predictor(tmp_path / "run").predict([it.image for it in records], top_k=3)
    for row, prediction in zip(found, predictions, strict=True):
        expected = [score for _, score in sorted((it.label, it.score) for it in prediction.top)]
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-5)
