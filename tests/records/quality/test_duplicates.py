"""Duplicates and near-duplicates are issues of the images that are not kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import shardmill as sm
from records.cli.quality import quality as command
from records.errors import UsageError
from records.stats import duplicate_keys, find_groups, leak_keys, read_index_rows
from tests.pipelines.pictures import make_file
from tests.records.quality.test_quality import encode, picture


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pre-split photos: two identical files, a leak, a conflict, and a re-encoded copy."""
    folder = tmp_path_factory.mktemp("duplicates")
    photos = {number: encode(picture(number), "JPEG") for number in range(8)}
    files = {
        "train/a/0.jpg": photos[0],
        "train/a/0-again.jpg": photos[0],
        "test/b/1.jpg": photos[1],
        "train/b/1.jpg": photos[1],
        "train/a/2.jpg": photos[2],
        "train/b/2.jpg": photos[2],
        "test/a/3.png": encode(picture(3), "PNG"),
        "train/a/3.jpg": photos[3],
        **{f"train/a/{number}.jpg": photos[number] for number in range(4, 8)},
    }
    for name, content in files.items():
        make_file(folder / "photos", name, content)
    sm.convert(folder / "photos", folder / "data")
    return folder / "data"


def test_quality_duplicates_are_those_that_stats_excludes(dataset: Path) -> None:
    found = sm.quality(dataset).only(["duplicate"])
    pairs = {each.key: each.duplicate_of for each in found.findings}
    assert {key: kept.key for key, kept in pairs.items() if kept} == {
        "train/b/1.jpg": "test/b/1.jpg",
        "train/b/2.jpg": "train/a/2.jpg",
        "train/a/0.jpg": "train/a/0-again.jpg",
    }
    assert found.findings[0].key == "train/b/1.jpg"  # a leak is the worst
    groups = find_groups(read_index_rows(sm.open_dataset(dataset)))
    assert found.keys() == duplicate_keys(groups)
    assert leak_keys(groups) == ["train/b/1.jpg"]
    assert {each.value for each in found.findings} == {2}
    assert "train/b/1.jpg  of test b test/b/1.jpg" in repr(found)


def test_quality_finds_near_duplicates_only_if_asked_or_hashes_are_saved(
    dataset: Path, tmp_path: Path
) -> None:
    first = CliRunner().invoke(command, [str(dataset), "--json"])
    assert "near-duplicate" not in json.loads(first.stdout)["issues"]
    with pytest.raises(UsageError, match="near-duplicates were not searched"):
        sm.quality(dataset).only(["near-duplicate"])
    grid = tmp_path / "grid.png"
    asked = CliRunner().invoke(
        command, [str(dataset), "--issue", "near-duplicate", "--json", "--grid", str(grid)]
    )
    (found,) = json.loads(asked.stdout)["findings"]
    assert (found["key"], found["duplicate_of"]["key"]) == ("train/a/3.jpg", "test/a/3.png")
    assert grid.read_bytes().startswith(b"\x89PNG")
    later = sm.quality(dataset)
    assert later.issues["near-duplicate"].images == 1
    assert later.only(["near-duplicate"]).keys() == ["train/a/3.jpg"]


def test_quality_remove_listed_duplicates_leaves_none(dataset: Path, tmp_path: Path) -> None:
    issues = ["duplicate", "near-duplicate"]
    listed = sm.quality(dataset, near=True).only(issues).keys()
    excluded = make_file(tmp_path, "keys.txt", "\n".join(listed).encode())
    sm.convert(dataset.parent / "photos", tmp_path / "data", exclude=excluded)
    assert sm.quality(tmp_path / "data", near=True).only(issues).findings == ()
