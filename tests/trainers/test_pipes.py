"""Named pipes and other special files in place of the files of commands: no command waits."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from records.errors import CorruptDataError, OutputError, ShardmillError
from records.storage.exclusive import open_new_file, write_new_file
from shardmill.cli import shardmill
from tests.faults.swaps import time_limit
from trainers.prediction.image_files import find_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIPE = "PIPE"
TRANSFER = ("--mode=transfer", "--model=mobilenet_v2")
COMMANDS = [
    ["train", PIPE, "NEW"],
    ["train", "DATA", PIPE],
    ["train", "DATA", PIPE, "--resume"],
    ["train", "DATA", "NEW", *TRANSFER, "--weights", PIPE],
    ["train", "DATA", "NEW", *TRANSFER, "--weights=none", "--features", PIPE],
    ["evaluate", PIPE],
    ["evaluate", "RUN", PIPE],
    ["export", PIPE, "NEW"],
    ["export", "RUN", PIPE],
    ["featurize", PIPE, "NEW", "--model=mobilenet_v2"],
    ["featurize", "DATA", "NEW", "--model=mobilenet_v2", "--weights", PIPE],
    ["predict", PIPE, "a.jpg"],
    ["predict", "RUN", PIPE],
    ["predict", "RUN", "DATA/dataset.json", "--csv", PIPE],
    ["predict", "RUN", PIPE, "--csv-parts", "NEW"],
    ["doctor", PIPE],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_with_a_pipe_as_any_path_end_with_one_line(
    shapes: Path, run_path: Path, tmp_path: Path, command: list[str], refuse_backend: None
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    paths = {
        PIPE: str(tmp_path / "pipe.jpg"),
        "NEW": str(tmp_path / "new"),
        "DATA": str(shapes),
        "DATA/dataset.json": str(shapes / "dataset.json"),
        "RUN": str(run_path),
    }
    with time_limit(tmp_path):
        result = CliRunner().invoke(shardmill, [paths.get(part, part) for part in command])
    assert isinstance(result.exception, ShardmillError), result.output
    assert "pipe.jpg" in str(result.exception)
    assert not (tmp_path / "new").exists()


def make_socket(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        bound.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "kind"), [(os.mkfifo, "a named pipe"), (make_socket, "a socket|No such device")]
)
def test_find_images_special_file_is_refused_by_its_kind(
    tmp_path: Path, make: Callable[[Path], None], kind: str
) -> None:
    make(tmp_path / "a.jpg")
    with time_limit(tmp_path), pytest.raises(ShardmillError, match=rf"a\.jpg: .*({kind})"):
        find_images([tmp_path / "a.jpg"])


def test_find_images_device_is_refused() -> None:
    with pytest.raises(CorruptDataError, match="not a regular file but a device"):
        find_images(["/dev/zero"])


def write_open(path: str, content: bytes) -> None:
    with open_new_file(path) as file:
        file.write(content)


@pytest.mark.parametrize("write", [write_new_file, write_open])
def test_new_file_pipe_without_reader_is_refused_and_with_reader_gets_all_bytes(
    tmp_path: Path, write: Callable[[str, bytes], None]
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with time_limit(tmp_path), pytest.raises(OutputError, match="no process reads the pipe"):
        write(str(path), b"rows")
    content = bytes(range(256)) * 4096  # more than the pipe holds
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    thread = threading.Thread(target=write, args=(str(path), content))
    with time_limit(tmp_path), os.fdopen(reader, "rb") as stream:
        thread.start()
        # The pipe has no writer until the thread opens it, and would be read as empty.
        received = b""
        while len(received) < len(content):
            received += stream.read(1 << 16)
        thread.join()
    assert received == content
