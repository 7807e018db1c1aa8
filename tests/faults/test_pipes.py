"""Named pipes in place of every kind of file that a command reads: no command waits for one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from records import verify
from tests.faults import swaps
from tests.pipelines.conftest import Convert

LIMIT_SECONDS = 60
SHARD = "train-00000-of-00002.tfrecord"
INDEX = "index/train-00000-of-00002.parquet"
READERS = ("verify", "log", "files", "stats", "quality", "inspect", "report")
DATASET_FILES = ("dataset.json", "labels.txt", "rejects.jsonl", SHARD, INDEX)


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command; fail if it has not ended after a time."""
    command = [sys.executable, "-m", "shardmill", *map(str, arguments)]
    with swaps.unblocked_pipes(folder):
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
        )


def put_pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def put_link_out(path: Path) -> None:
    """Put a link to a copy outside in place of a file."""
    outside = path.parents[2] / "elsewhere"
    outside.mkdir(exist_ok=True)
    shutil.move(path, outside / path.name)
    path.symlink_to(outside / path.name)


@pytest.fixture
def data(convert: Convert, output: Path) -> Path:
    convert(output=str(output), shards=2)
    return output


class TestDatasets:
    @pytest.mark.parametrize("put", [put_pipe, put_link_out])
    @pytest.mark.parametrize("name", DATASET_FILES)
    def test_verify_dataset_with_refused_file_has_a_finding(
        self, data: Path, name: str, put: Callable[[Path], None]
    ) -> None:
        put(data / name)
        with swaps.time_limit(data):
            findings = list(verify(data))
        expected = "a named pipe" if put is put_pipe else "leads out of the folder"
        assert any(expected in str(finding) for finding in findings)

    @pytest.mark.slow
    @pytest.mark.parametrize("command", READERS)
    @pytest.mark.parametrize("name", DATASET_FILES)
    def test_command_on_dataset_with_pipe_ends(self, data: Path, name: str, command: str) -> None:
        put_pipe(data / name)
        flags = {"stats": ["--near"], "report": ["-o", str(data.parent / "report.html")]}
        ended = run(data, command, data, *flags.get(command, []))
        assert ended.returncode in {0, 1, 66}, ended.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("name", DATASET_FILES)
    def test_repair_of_dataset_with_pipe_ends(self, data: Path, source: Path, name: str) -> None:
        put_pipe(data / name)
        ended = run(data, "repair", data, source)
        assert ended.returncode == (66 if name == "dataset.json" else 0), ended.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("command", [("verify",), ("inspect",), ("salvage", "--dry-run")])
    def test_command_on_pipe_ends(self, tmp_path: Path, command: tuple[str, ...]) -> None:
        put_pipe(tmp_path / "x.tfrecord")
        name, *flags = command
        out = [tmp_path / "out"] if name == "salvage" else []
        ended = run(tmp_path, name, tmp_path / "x.tfrecord", *out, *flags)
        assert ended.returncode in {1, 2, 66}, ended.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("name", [SHARD, "labels.txt"])
    def test_adopt_folder_with_pipe_ends(self, data: Path, name: str) -> None:
        (data / "dataset.json").unlink()
        put_pipe(data / name)
        ended = run(data, "adopt", data)
        assert ended.returncode in {2, 66, 73}, ended.stderr


class TestConversions:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["dataset.json", SHARD, INDEX])
    def test_append_to_dataset_with_pipe_ends(
        self, data: Path, source: Path, convert: Convert, name: str
    ) -> None:
        put_pipe(data / name)
        shutil.copy(source / "dog" / "000.png", source / "dog" / "new.png")
        ended = run(data, "convert", source, data, "--append", "--quiet")
        assert ended.returncode in {0, 66, 73}, ended.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("name", DATASET_FILES)
    def test_remove_from_dataset_with_pipe_ends(self, data: Path, name: str) -> None:
        put_pipe(data / name)
        ended = run(data, "remove", data, "--where", "'0.png' in key", "--quiet")
        assert ended.returncode in {0, 66, 73}, ended.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("command", [("remove", "--keys"), ("relabel",)])
    def test_edits_in_pipe_without_writer_end(
        self, data: Path, tmp_path: Path, command: tuple[str, ...]
    ) -> None:
        put_pipe(tmp_path / "pipe")
        name, *options = command
        ended = run(tmp_path, name, data, *options, tmp_path / "pipe")
        assert ended.returncode == 66
        assert "no process writes to this pipe" in ended.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("option", ["--list", "--labels", "--exclude"])
    def test_convert_option_of_pipe_without_writer_ends(
        self, source: Path, tmp_path: Path, option: str
    ) -> None:
        put_pipe(tmp_path / "pipe")
        ended = run(tmp_path, "convert", source, tmp_path / "out", option, tmp_path / "pipe")
        assert ended.returncode == 66
        assert "no process writes to this pipe" in ended.stderr

    @pytest.mark.slow
    def test_convert_waiting_for_slow_writer_ends_by_signal(
        self, source: Path, tmp_path: Path
    ) -> None:
        put_pipe(tmp_path / "pipe")
        writer = os.open(tmp_path / "pipe", os.O_RDWR)
        command = [sys.executable, "-m", "shardmill", "convert", str(source)]
        command += [str(tmp_path / "out"), "--exclude", str(tmp_path / "pipe")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            os.write(writer, b"dog/000.png\n")
            time.sleep(3)
            assert process.poll() is None
            process.terminate()
            assert process.wait(timeout=15) == 143
        finally:
            os.close(writer)
            process.kill()
            process.communicate()
