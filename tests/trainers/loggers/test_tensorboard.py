"""Logs for TensorBoard that cannot be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from records.errors import OutputError
from tests.trainers.test_config import CONFIG
from trainers.loggers.tensorboard import open_logger
from trainers.runs.create import create_run
from trainers.runs.run_dir import TENSORBOARD

if TYPE_CHECKING:
    from pathlib import Path


def test_logs_that_cannot_be_created_are_an_output_error(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG, ("disc", "square", "star", "arc", "dot"))
    (tmp_path / "run" / TENSORBOARD).write_bytes(b"a file")
    with pytest.raises(OutputError, match=r"TensorBoard cannot be written.*Not a directory"):
        open_logger(run, print)
