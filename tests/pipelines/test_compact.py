"""Compaction gives the dataset of one conversion of all images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.compact import compact
from records import Dataset, open_dataset, verify
from records.errors import CorruptDataError, InputNotFoundError, OutputError, UsageError
from records.format import layout
from records.format.layout import SplitName
from records.format.manifest import read_manifest
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture


@pytest.fixture
def nightly(convert: Convert, source: Path, output: Path) -> Path:
    """Three nights; a class more came on the last day."""
    for night in range(3):
        convert(test=0.3, append=True, allow_new_classes=True, seed=2)
        for number in range(15):
            key = f"{('cat', 'dog', 'emu')[night]}/{night}-{number}.png"
            make_file(source, key, make_picture(100 * night + number))
    return output


def test_compact_several_generations_gives_same_bytes_as_one_conversion(
    nightly: Path, convert: Convert, source: Path, tmp_path: Path
) -> None:
    before = content_of(nightly)
    for path in (source / "emu").iterdir():
        path.unlink()
    (source / "emu").rmdir()
    convert(output=str(tmp_path / "at-once"), test=0.3, seed=2)
    report = compact(str(nightly), str(tmp_path / "new"))
    assert (report.status, report.counts.stored) == ("converted", 51)
    assert content_of(tmp_path / "new") == content_of(tmp_path / "at-once")
    assert content_of(nightly) == before
    assert list(verify(tmp_path / "new", decode=True)) == []


def test_compact_labels_out_of_order_keeps_labels_and_splits(
    nightly: Path, convert: Convert, source: Path, tmp_path: Path
) -> None:
    make_file(source, "ant/0.png", make_picture(1))
    convert(append=True, allow_new_classes=True)
    compact(str(nightly), str(tmp_path / "new"))
    old, new = open_dataset(nightly), open_dataset(tmp_path / "new")
    assert old.labels == new.labels == ("cat", "dog", "ant", "emu")
    for split in old:
        assert {(r.key, r.label) for r in old[split]} == {(r.key, r.label) for r in new[split]}
    assert old.manifest.thresholds == new.manifest.thresholds
    assert len(new.manifest.generations) == 1


def test_compact_fixed_reject_is_removed_from_rejects(
    nightly: Path, convert: Convert, source: Path, tmp_path: Path
) -> None:
    make_file(source, "cat/bad.png", CORRUPT)
    convert(append=True, allow_new_classes=True)
    assert compact(str(nightly), str(tmp_path / "before")).counts.rejected == 1
    assert list(verify(tmp_path / "before")) == []
    make_file(source, "cat/bad.png", make_picture(9))
    convert(append=True, allow_new_classes=True)
    report = compact(str(nightly), str(tmp_path / "new"))
    assert report.counts.rejected == 0
    assert (tmp_path / "new" / layout.REJECTS).read_bytes() == b""
    assert list(verify(tmp_path / "new")) == []


def test_compact_output_accepts_append(
    nightly: Path, convert: Convert, source: Path, tmp_path: Path
) -> None:
    new = str(tmp_path / "new")
    compact(str(nightly), new)
    assert convert(output=new, append=True, allow_new_classes=True).counts.stored == 15
    assert convert(output=new, append=True).status == "nothing-to-do"
    assert list(verify(new)) == []


def test_compact_second_run_has_nothing_to_do(nightly: Path, tmp_path: Path) -> None:
    assert compact(str(nightly), str(tmp_path / "new")).seconds > 0
    before = content_of(tmp_path / "new")
    report = compact(str(nightly), str(tmp_path / "new"))
    assert (report.status, report.seconds) == ("nothing-to-do", 0)
    assert content_of(tmp_path / "new") == before


def test_compact_dry_run_writes_nothing(nightly: Path, tmp_path: Path) -> None:
    report = compact(str(nightly), str(tmp_path / "new"), dry_run=True)
    assert (report.status, report.counts.stored) == ("planned", 51)
    assert not (tmp_path / "new").exists()


def test_compact_killed_run_resumes_and_reuses_shards(
    nightly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.compact.new_dataset.publish", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            compact(str(nightly), str(tmp_path / "new"))
    written = {path: path.stat().st_ino for path in (tmp_path / "new").glob("*.tfrecord")}
    compact(str(nightly), str(tmp_path / "new"))
    assert {path: path.stat().st_ino for path in (tmp_path / "new").glob("*.tfrecord")} == written
    assert list(verify(tmp_path / "new")) == []


def test_compact_damaged_record_fails_without_manifest(nightly: Path, tmp_path: Path) -> None:
    shard = next(nightly.glob("train-*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[60] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorruptDataError, match=shard.name):
        compact(str(nightly), str(tmp_path / "new"))
    assert not (tmp_path / "new" / layout.MANIFEST).exists()


@pytest.mark.parametrize("place", ["data/new", "data"])
def test_compact_output_inside_or_equal_to_dataset_is_refused(nightly: Path, place: str) -> None:
    with pytest.raises(UsageError):
        compact(str(nightly), str(nightly.parent / place))


def test_compact_output_of_other_dataset_is_refused(
    nightly: Path, convert: Convert, tmp_path: Path
) -> None:
    convert(output=str(tmp_path / "other"), seed=5)
    with pytest.raises(OutputError):
        compact(str(nightly), str(tmp_path / "other"))


def test_compact_folder_without_dataset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputNotFoundError):
        compact(str(tmp_path / "empty"), str(tmp_path / "new"))


def test_compact_output_url_is_written(nightly: Path, memory: Any) -> None:
    compact(str(nightly), "memory://new")
    assert list(verify("memory://new")) == []
    assert read_manifest(open_storage("memory://new")).splits.keys() == {"train", "test"}


@pytest.mark.parametrize("seed", range(3))
def test_compact_groups_keep_their_split_and_their_hash(
    convert: Convert, source: Path, output: Path, tmp_path: Path, seed: int
) -> None:
    for number in range(60):
        make_file(source, f"cat/p{number // 5}/{number}.png", make_picture(500 + number))
    convert(test=0.4, group_by="parent", seed=seed)
    compact(str(output), str(tmp_path / "new"))
    assert list(verify(tmp_path / "new", decode=True)) == []
    old, new = open_dataset(output), open_dataset(tmp_path / "new")
    for split in old:
        assert {r.key: r.image for r in old[split]} == {r.key: r.image for r in new[split]}
        groups = [
            dict(zip(*(rows[name].to_pylist() for name in ("key", "group")), strict=True))
            for dataset in (old, new)
            for rows in [pa.concat_tables(index_tables(dataset, split))]
        ]
        assert groups[0] == groups[1]
        assert all(groups[0].values())


def index_tables(dataset: Dataset, split: SplitName) -> list[pa.Table]:
    part = dataset[split]
    return [part.load_index(number).table for number in range(len(part.info.shards))]
