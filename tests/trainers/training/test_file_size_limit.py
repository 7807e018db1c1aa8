"""Files that cannot be written completely: one clear line, and nothing half-written is left."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from records.errors import OutputError
from tests.trainers.test_config import CONFIG
from trainers.models.weights_path import find_weights
from trainers.runs.create import create_run
from trainers.runs.run_dir import WEIGHTS, open_run

if TYPE_CHECKING:
    from pathlib import Path

# One process runs all commands: HDF5 crashed it only when it ended.
_PROGRAM = """
import json, resource, sys
from click.testing import CliRunner
from shardmill.cli import shardmill

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit_bytes, command in json.loads(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    result = CliRunner().invoke(shardmill, command)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    code = getattr(result.exception, "exit_code", None)
    print(json.dumps([type(result.exception).__name__, code, str(result.exception)]))
"""
_TRAIN = ("--epochs=2", "--batch-size=8", "--image-size=24x32")


def test_tensorboard_logs_that_exceed_the_size_limit_are_an_output_error(tmp_path: Path) -> None:
    from trainers.loggers.tensorboard import TensorBoardLogger

    writer = TensorBoardLogger(create_run(tmp_path / "run", CONFIG, ("cat", "dog")))
    writer.write_step(0, {"loss": 1.0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))
    try:
        with pytest.raises(OutputError, match=r"tensorboard: .*, got File too large; fix this"):
            writer.write_step(1, {"loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_commands_whose_files_exceed_the_size_limit_end_with_one_line(
    shapes: Path, run_path: Path, tmp_path: Path
) -> None:
    weights_bytes = (run_path / WEIGHTS).stat().st_size
    limits = [100, 10_000, 20_000, weights_bytes - 1, weights_bytes + 1]
    outputs = [tmp_path / f"train-{limit}" for limit in limits]
    commands: list[tuple[int, list[str]]] = [
        (limit, ["train", str(shapes), str(out), *_TRAIN])
        for limit, out in zip(limits, outputs, strict=True)
    ]
    formats = ("keras", "saved_model", "onnx", "litert")
    commands += [
        (limit, ["export", str(run_path), str(tmp_path / f"{form}-{limit}"), f"--format={form}"])
        for form in formats
        for limit in (5_000, 60_000)
    ]
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    results = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(results) == len(commands)
    for (_, command), (kind, code, message) in zip(commands, results, strict=True):
        assert (kind, code) == ("OutputError", 73), (command, message)
        assert "cannot be written" in message, command
    # The weights of the last command fit, and its checkpoint does not.
    assert [path.exists() for path in outputs] == [False] * 4 + [True]
    assert find_weights(str(outputs[-1]), "cnn") == outputs[-1] / WEIGHTS
    open_run(outputs[-1]).check(WEIGHTS)
    assert not list((outputs[-1] / "checkpoints").iterdir())
    assert list(tmp_path.iterdir()) == [outputs[-1]]
