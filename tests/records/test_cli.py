"""The commands as people and programs use them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from records.storage import open_storage
from tests.command_line import Run
from tests.datasets import DatasetBuilder, Source, encode_picture, make_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST = "train-00000-of-00002.tfrecord"


def run_json(run: Run, *arguments: object) -> Any:
    return json.loads(run(*arguments, "--json").out)


@pytest.fixture
def folder(build_dataset: Callable[..., Path]) -> Path:
    return build_dataset()


@pytest.mark.parametrize("command", ["inspect", "verify", "stats"])
class TestEveryCommand:
    def test_command_help_shows_an_example(self, command: str, run: Run) -> None:
        ended = run(command, "--help")
        assert f"\n    shardmill {command} data/" in ended.out

    def test_command_without_dataset_prints_one_line_and_exits_with_status_66(
        self, command: str, tmp_path: Path, run: Run
    ) -> None:
        ended = run(command, tmp_path)
        assert (ended.code, ended.out) == (66, "")
        assert ended.err.count("\n") == 1
        assert "there is no finished dataset here" in ended.err

    def test_command_json_prints_only_json_on_stdout(
        self, command: str, folder: Path, run: Run
    ) -> None:
        assert isinstance(run_json(run, command, folder), dict)

    def test_command_in_other_processes_prints_same_output(
        self, command: str, folder: Path, run: Run
    ) -> None:
        process = [sys.executable, "-m", "shardmill", command, str(folder)]
        ended = subprocess.run(process, capture_output=True, text=True, check=False)
        assert run(command, folder).out == ended.stdout


def test_verify_command_intact_dataset_prints_totals_and_exits_with_status_0(
    folder: Path, run: Run
) -> None:
    ended = run("verify", folder)
    assert (ended.code, ended.err) == (0, "")
    assert "3 files, 17 records" in ended.out
    assert "all good" in ended.out


def test_verify_command_findings_print_one_line_each_and_exit_with_status_1(
    folder: Path, run: Run
) -> None:
    path = folder / FIRST
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    (folder / "labels.txt").unlink()
    ended = run("verify", folder, "--decode")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[0].startswith("missing  labels.txt: ")
    assert lines[1].startswith(f"payload-checksum  {FIRST} record 0 offset 0 cat/0.png: ")
    assert lines[2].endswith("2 findings")
    found = run_json(run, "verify", folder)["findings"]
    assert [item["kind"] for item in found] == ["missing", "payload-checksum"]


def test_inspect_command_dataset_prints_classes_shards_and_features(folder: Path, run: Run) -> None:
    text = run("inspect", folder).out
    assert "3: cat, dog, élan" in text
    assert "12 records in 2 shards" in text
    assert "image/class/label" in text


def test_inspect_command_file_limit_reads_first_records(folder: Path, run: Run) -> None:
    assert (
        "first 3 records (--limit N for more)" in run("inspect", folder / FIRST, "--limit", 3).out
    )
    assert run_json(run, "inspect", folder / FIRST, "--limit", 3)["records"] == 3
    whole = run_json(run, "inspect", folder / FIRST)
    assert (whole["records"], whole["complete"]) == (5, True)


def test_inspect_command_text_file_is_reported_as_damaged(tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.txt").write_text("some text that is no TFRecord file")
    ended = run("inspect", tmp_path / "a.txt")
    assert "damaged: " in ended.out
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("target", ["", FIRST])
def test_inspect_command_grid_writes_png(
    folder: Path, target: str, tmp_path: Path, run: Run
) -> None:
    assert run("inspect", folder / target, "--grid", tmp_path / "a.png").code == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert image.width > 300


def test_image_outputs_not_png_or_missing_folder_are_refused(
    folder: Path, tmp_path: Path, run: Run
) -> None:
    ended = run("inspect", folder, "--grid", tmp_path / "a.jpg")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    ended = run("stats", folder, "--plot", tmp_path / "no" / "a.png")
    assert (ended.code, ended.err.count("\n")) == (73, 1)


def test_stats_command_plot_writes_deterministic_png(
    folder: Path, tmp_path: Path, run: Run
) -> None:
    assert run("stats", folder, "--plot", tmp_path / "a.png").code == 0
    content = (tmp_path / "a.png").read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        assert image.width > 1000
    run("stats", folder, "--plot", tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == content


def test_stats_command_keys_prints_only_escaped_keys(tmp_path: Path, run: Run) -> None:
    picture = encode_picture(1)
    train = [Source(b"cat/a.png", 0, picture), Source(b"cat/\xff\n%.png", 0, picture)]
    test = [Source(b"cat/c.png", 0, picture), *make_sources(3)]
    DatasetBuilder(open_storage(tmp_path)).build({"train": [train], "test": [test]})
    duplicates = run("stats", tmp_path, "--keys", "duplicates").out
    assert duplicates == "cat/%FF%0A%25.png\ncat/a.png\n"
    leaks = run("stats", tmp_path, "--keys", "leaks").out
    assert leaks == "cat/%FF%0A%25.png\ncat/a.png\n"
    keys = run_json(run, "stats", tmp_path, "--keys", "leaks")["keys"]
    assert keys == ["cat/%FF\n%25.png", "cat/a.png"]


def test_stats_command_closed_stdout_pipe_prints_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m shardmill stats {folder} | head -1"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
