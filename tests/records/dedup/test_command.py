"""`stats --near` from pictures to a dataset without twins, as people run it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import shardmill as sm
from benchmarks.inputs.alterations import ALTERATIONS
from tests.command_line import Run

if TYPE_CHECKING:
    from pathlib import Path


def near_of(run: Run, target: Path, *arguments: object) -> Any:
    return json.loads(run("stats", target, "--near", "--json", *arguments).out)["near"]


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
    sm.convert(source, folder)
    return folder


def test_stats_near_reports_pairs_leaks_and_conflicts(target: Path, run: Run) -> None:
    near = near_of(run, target)
    assert [(pair["kept"]["key"], pair["other"]["key"]) for pair in near["pairs"]] == [
        ("test/cat/a.png", "train/cat/a.jpg"),
        ("train/cat/c.jpg", "train/dog/c.png"),
    ]
    assert near["keys"] == ["train/cat/a.jpg", "train/dog/c.png"]
    assert near["leak_keys"] == ["train/cat/a.jpg"]
    assert (near["groups"], near["leak_groups"], near["conflict_groups"]) == (2, 1, 1)
    assert (near["compared"], near["flat"]) == (6, 2)


def test_stats_near_text_output_summarizes_groups_and_leaks(target: Path, run: Run) -> None:
    ended = run("stats", target, "--near")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert "near          2 images in 2 groups (--keys near lists the keys to exclude)" in lines
    assert any(line.startswith("near leaks    1 image near an image in") for line in lines)
    assert "not compared  2 of almost one colour" in lines
    assert lines[-2].split()[1:4] == ["test", "cat", "test/cat/a.png"]


def test_stats_near_keys_excluded_from_convert_leave_no_pairs(
    source: Path, target: Path, run: Run
) -> None:
    ended = run("stats", target, "--keys", "near")
    keys = source.parent / "keys.txt"
    keys.write_text(ended.out)
    without = source.parent / "without"
    assert run("convert", source, without, "--exclude", keys, "--quiet").code == 0
    near = near_of(run, without)
    assert (near["compared"], near["pairs"], near["keys"]) == (4, [], [])


def test_stats_near_grid_draws_every_pair(target: Path, tmp_path: Path, run: Run) -> None:
    near_of(run, target, "--grid", tmp_path / "pairs.png")
    with Image.open(tmp_path / "pairs.png") as image:
        two_pairs_px = image.width
    assert two_pairs_px > 4 * 144


def test_stats_near_with_keys_leaks_lists_only_exact_duplicates(target: Path, run: Run) -> None:
    assert run("stats", target, "--near", "--keys", "leaks").out == ""


def test_stats_grid_without_near_exits_with_status_2(
    target: Path, tmp_path: Path, run: Run
) -> None:
    ended = run("stats", target, "--grid", tmp_path / "pairs.png")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "add --near" in ended.err


def test_stats_near_unwritable_dataset_warns_and_reports_same_pairs(target: Path, run: Run) -> None:
    expected = near_of(run, target)
    hashes = target / "hashes"
    for path in hashes.iterdir():
        path.unlink()
    hashes.rmdir()
    hashes.write_text("in the way")
    ended = run("stats", target, "--near", "--json")
    hashes.unlink()
    assert ended.code == 0
    assert ended.err.count("\n") == 1
    assert "the hashes cannot be saved" in ended.err
    assert json.loads(ended.out)["near"] == expected
