"""`stats --near` from pictures to a dataset without twins, as people run it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.inputs.alterations import ALTERATIONS

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shardmill", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def near_of(target: Path, *arguments: object) -> Any:
    return json.loads(run("stats", target, "--near", "--json", *arguments).stdout)["near"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-split folder: train has b and an altered a of test, and twice c, in two classes."""
    folder = tmp_path_factory.mktemp("near") / "photos"
    random = np.random.default_rng(0)
    pictures = {
        name: Image.fromarray(random.integers(0, 256, (8, 10, 3), np.uint8)).resize(
            (160, 128), Image.Resampling.BICUBIC
        )
        for name in "abcd"
    }
    plain = ALTERATIONS["PNG"]
    files = {
        "test/cat/a.png": plain(pictures["a"]),
        "test/dog/d.png": plain(pictures["d"]),
        "train/cat/a.jpg": ALTERATIONS["resized to 50 %"](pictures["a"]),
        "train/cat/b.png": plain(pictures["b"]),
        "train/cat/c.jpg": ALTERATIONS["cropped by 5 %, all sides"](pictures["c"]),
        "train/dog/c.png": plain(pictures["c"]),
        "train/dog/white.png": plain(Image.new("RGB", (90, 90), "white")),
        "train/dog/paper.png": plain(Image.new("RGB", (90, 90), "ivory")),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def target(source: Path) -> Path:
    folder = source.parent / "data"
    assert run("convert", source, folder, "--quiet").returncode == 0
    return folder


def test_stats_near_reports_pairs_leaks_and_conflicts(target: Path) -> None:
    near = near_of(target)
    assert [(pair["kept"]["key"], pair["other"]["key"]) for pair in near["pairs"]] == [
        ("test/cat/a.png", "train/cat/a.jpg"),
        ("train/cat/c.jpg", "train/dog/c.png"),
    ]
    assert near["keys"] == ["train/cat/a.jpg", "train/dog/c.png"]
    assert near["leak_keys"] == ["train/cat/a.jpg"]
    assert (near["groups"], near["leak_groups"], near["conflict_groups"]) == (2, 1, 1)
    assert (near["compared"], near["flat"]) == (6, 2)


def test_stats_near_text_output_summarizes_groups_and_leaks(target: Path) -> None:
    ended = run("stats", target, "--near")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert "near          2 images in 2 groups (--keys near lists the keys to exclude)" in lines
    assert any(line.startswith("near leaks    1 image near an image in") for line in lines)
    assert "not compared  2 of almost one colour" in lines
    assert lines[-2].split()[1:4] == ["test", "cat", "test/cat/a.png"]


def test_stats_near_keys_excluded_from_convert_leave_no_pairs(source: Path, target: Path) -> None:
    ended = run("stats", target, "--keys", "near")
    keys = source.parent / "keys.txt"
    keys.write_text(ended.stdout)
    without = source.parent / "without"
    assert run("convert", source, without, "--exclude", keys, "--quiet").returncode == 0
    near = near_of(without)
    assert (near["compared"], near["pairs"], near["keys"]) == (4, [], [])


def test_stats_near_grid_draws_every_pair(target: Path, tmp_path: Path) -> None:
    near_of(target, "--grid", tmp_path / "pairs.png")
    with Image.open(tmp_path / "pairs.png") as image:
        two_pairs_px = image.width
    assert two_pairs_px > 4 * 144


def test_stats_near_with_keys_leaks_lists_only_exact_duplicates(target: Path) -> None:
    assert run("stats", target, "--near", "--keys", "leaks").stdout == ""


def test_stats_grid_without_near_exits_with_status_2(target: Path, tmp_path: Path) -> None:
    ended = run("stats", target, "--grid", tmp_path / "pairs.png")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "add --near" in ended.stderr


def test_stats_near_unwritable_dataset_warns_and_reports_same_pairs(target: Path) -> None:
    expected = near_of(target)
    hashes = target / "hashes"
    for path in hashes.iterdir():
        path.unlink()
    hashes.rmdir()
    hashes.write_text("in the way")
    ended = run("stats", target, "--near", "--json")
    hashes.unlink()
    assert ended.returncode == 0
    assert ended.stderr.count("\n") == 1
    assert "the hashes cannot be saved" in ended.stderr
    assert json.loads(ended.stdout)["near"] == expected
