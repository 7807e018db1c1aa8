"""`label-errors` finds flipped labels in a dataset."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import shardmill as sm
from records.dataset import open_dataset
from records.errors import UsageError
from shardmill.cli import shardmill
from tests.trainers.conftest import LABELS, draw_shape, write_shapes
from tests.trainers.toy_backbone import make_network

FLAGS = ("--model", "mobilenet_v2", "--weights", "none", "--image-size", "32")


@pytest.fixture(autouse=True)
def _toy_backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Replace the backbone by mean colours, and the cache by an empty one."""
    monkeypatch.setattr(
        "trainers.models.build.build_network",
        lambda architecture: make_network(shape=architecture.shape),
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A dataset in which the labels of six images are wrong."""
    folder: Path = tmp_path_factory.mktemp("flipped") / "data"
    write_shapes(folder, {"train": [range(60), range(60, 120)], "test": [range(120, 150)]})
    sm.relabel(folder, {key: LABELS[(label + 1) % 3] for key, label in flipped(folder).items()})
    yield folder


def flipped(folder: Path) -> dict[str, int]:
    """Return the keys of six images with the labels in their names."""
    records = [record for split in open_dataset(folder).values() for record in split]
    chosen = [record.key for record in records if int(record.key[-9:].split(".")[0][-3:]) % 25 == 4]
    return {key: LABELS.index(key.split("/")[0]) for key in chosen}


def call(*arguments: object) -> Any:
    return CliRunner().invoke(shardmill, ["label-errors", *map(str, arguments)])


def test_label_errors_finds_flipped_labels_in_all_splits(data: Path, tmp_path: Path) -> None:
    path, grid = tmp_path / "corrected.jsonl", tmp_path / "wrong.png"
    ended = call(data, *FLAGS, "--corrections", path, "--grid", grid, "--json")
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    expected = flipped(data)
    keys = [each["key"] for each in found["candidates"]]
    assert len({*keys[: len(expected)]} & {*expected}) >= len(expected) - 1
    for each in found["candidates"]:
        record = next(r for r in open_dataset(data)[each["split"]] if r.key == each["key"])
        assert record.class_name == each["class"] != each["suggested"]
    assert found["images"] == 150
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
    assert repr(found).startswith("150 images: accuracy ")


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
