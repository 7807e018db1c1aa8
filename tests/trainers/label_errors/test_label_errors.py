"""`label-errors` finds flipped labels in a dataset."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import shardmill as sm
from records.dataset import open_dataset
from records.errors import UsageError
from shardmill.cli import shardmill
from tests.trainers.conftest import draw_shape
from tests.trainers.toy_backbone import make_network

FLAGS = ("--model", "mobilenet_v2", "--weights", "none", "--image-size", "32")


@pytest.fixture(autouse=True)
def _toy_backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Replace the backbone by mean colors, and the cache by an empty one."""
    monkeypatch.setattr(
        "trainers.features.extract.build_extractor_network",
        lambda architecture, _weights: make_network(shape=architecture.shape),
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


WRONG = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of plain images in three colors, of which six have the label of another color."""
    folder: Path = tmp_path_factory.mktemp("colors")
    random = np.random.default_rng(0)
    for number in range(120):
        color = np.full(3, 60) + 120 * (np.arange(3) == number % 3)
        pixels = np.clip(color + random.normal(0, 12, (32, 32, 3)), 0, 255).astype(np.uint8)
        wrong = number < WRONG
        path = folder / "photos" / "abc"[(number + wrong) % 3] / f"{'wrong-' * wrong}{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    sm.convert(folder / "photos", folder / "data", test=0.2)
    return folder / "data"


def call(*arguments: object) -> Any:
    return CliRunner().invoke(shardmill, ["label-errors", *map(str, arguments)])


def test_label_errors_finds_flipped_labels_in_all_splits(data: Path, tmp_path: Path) -> None:
    path, grid = tmp_path / "corrected.jsonl", tmp_path / "wrong.png"
    ended = call(data, *FLAGS, "--corrections", path, "--grid", grid, "--json")
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    keys = [each["key"] for each in found["candidates"]]
    assert len([key for key in keys[:WRONG] if "wrong" in key]) == WRONG
    assert len(keys) < 2 * WRONG
    for each in found["candidates"]:
        record = next(r for r in open_dataset(data)[each["split"]] if r.key == each["key"])
        assert record.class_name == each["class"] != each["suggested"]
    assert found["images"] == 120
    assert grid.read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["key"], row["class"]) for row in rows] == [
        (each["key"], each["suggested"]) for each in found["candidates"]
    ]
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    assert sm.relabel(copy, path).relabelled == len(rows)


def test_label_errors_keys_are_those_of_candidates(data: Path) -> None:
    found = sm.label_errors(data, model="mobilenet_v2", weights="none", image_size=32)
    ended = call(data, *FLAGS, "--keys")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines() == found.keys() == [*found.corrections()]
    assert repr(found).startswith("120 images: accuracy ")


def test_label_errors_of_several_labels_per_image_is_a_usage_error(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    rows = ["file,tags"]
    for number in range(6):
        draw_shape(number).save(source / f"{number}.png")
        rows.append(f"{number}.png,a|b")
    (tmp_path / "tags.csv").write_text("\n".join(rows))
    sm.convert(source, tmp_path / "data", list=tmp_path / "tags.csv", label_separator="|")
    with pytest.raises(UsageError, match="any number of labels"):
        sm.label_errors(tmp_path / "data", model="mobilenet_v2", weights="none")


def test_label_errors_without_candidates_writes_no_file(tmp_path: Path) -> None:
    for number in range(30):
        folder = tmp_path / "photos" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((32, 32, 3), 40 + 5 * (number // 3)) + 120 * (np.arange(3) == number % 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    sm.convert(tmp_path / "photos", tmp_path / "data", test=0.2)
    path, grid = tmp_path / "corrected.jsonl", tmp_path / "wrong.png"
    ended = call(tmp_path / "data", *FLAGS, "--corrections", path, "--grid", grid)
    assert ended.exit_code == 0, ended.output
    assert "0 labels may be wrong" in ended.stdout
    assert not path.exists()
    assert not grid.exists()
