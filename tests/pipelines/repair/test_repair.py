"""Repairs: every damage of every file, to the bytes before it."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import weakref
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import fsspec
import pytest
from click.testing import CliRunner

import shardmill as sm
from pipelines.compact import compact
from pipelines.prune import prune
from pipelines.repair import RepairReport
from pipelines.repair.damage import find_damage
from pipelines.rollback import rollback
from pipelines.writing.publish import derived_files
from records import verify
from records.errors import InputNotFoundError, StorageError, TooManyRejectsError, UsageError
from records.format import layout
from records.format.index import read_index
from records.format.layout import index_name
from records.format.manifest import Manifest, file_names, read_manifest, shard_names
from records.format.shard import ShardWriter, read_shard
from records.generations import read_generation
from records.images import ImageOptions, encoder_versions
from records.storage import Storage, open_storage
from records.storage.local import LocalStorage
from shardmill.cli import shardmill
from tests.pipelines.pictures import CORRUPT, make_file, make_picture
from tests.pipelines.repair.datasets import (
    DAMAGES,
    convert_source,
    damage,
    flip,
    grow,
    make_source,
    read_all,
    run_repair,
    write_all,
)
from tests.pipelines.test_files_of_user import KilledError, Kills

EVERY = pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
REENCODED = ImageOptions(resize=(4, 4), store="jpeg")
SHARD = layout.shard_name("train", 0, 2)
NOT_FROM_SOURCE = ("dataset.json", "skipped.jsonl")
"""The files that a grown source does not give again."""


class Made(NamedTuple):
    """The source of a dataset, the files of the dataset by name, and those that vary."""

    source: Path
    files: Mapping[str, bytes]
    varying: Mapping[str, bytes] = {}

    def write(self, location: str) -> Storage:
        """Write the dataset; return its storage."""
        return write_all(location, {**self.files, **self.varying})

    @property
    def shards(self) -> list[str]:
        return [name for name in self.files if name.endswith(".tfrecord")]


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a dataset of five generations; its images are encoded again."""
    folder = tmp_path_factory.mktemp("grown")
    grow(folder / "source", str(folder / "data"), images=REENCODED)
    return read_made(folder / "source", str(folder / "data"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a dataset of one generation; its images are stored byte for byte."""
    folder = tmp_path_factory.mktemp("first")
    make_source(folder / "source", 1, images=40)
    convert_source(folder / "source", str(folder / "data"))
    return read_made(folder / "source", str(folder / "data"))


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the location of a dataset, in a folder or in the memory of this process."""
    filesystem: Any = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield str(tmp_path / "data") if request.param == "local" else "memory://bucket/data"
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def read_made(source: Path, location: str) -> Made:
    storage, files = open_storage(location), read_all(location)
    varying = {name: storage.read(name) for name in storage.list() if name not in files}
    return Made(source, files, varying)


def require_same(made: Made, location: str, report: RepairReport) -> None:
    """Check that a dataset has its bytes again, and nothing else."""
    assert read_all(location) == made.files, report
    assert report.status == "repaired", report


def problem_of(report: RepairReport, name: str) -> str:
    (found,) = [file for file in report.files if file.file == name]
    assert not found.is_repaired
    return found.problem


@pytest.mark.parametrize("step", [31, EVERY])
def test_repair_each_damage_of_each_file_gives_the_same_bytes(
    grown: Made, place: str, step: int
) -> None:
    names = [name for name in grown.files if not name.endswith(NOT_FROM_SOURCE)]
    storage = grown.write(place)
    for number, (kind, name) in enumerate(product(DAMAGES, names)):
        if number % step or not grown.files[name]:
            continue
        damage(storage, name, kind)
        planned = run_repair(place, grown.source, dry_run=True)
        report = run_repair(place, grown.source)
        assert [file.file for file in report.files] == [name], kind
        require_same(grown, place, report)
        assert planned.status == "planned"
        assert [file.damage for file in planned.files] == [file.damage for file in report.files]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 60))]
)
def test_repair_random_damage_of_many_files_repairs_all_with_an_intact_index(
    grown: Made, place: str, seed: int
) -> None:
    draw = random.Random(seed)
    storage = grown.write(place)
    names = [name for name in grown.files if not name.endswith(NOT_FROM_SOURCE)]
    damaged = draw.sample(names, draw.randint(2, len(names) // 2))
    # An edited shard without an index, and the entries of its edits, have no other source.
    damaged = [name for name in damaged if index_name(name) not in damaged]
    is_listed = not any(name.endswith(".parquet") for name in damaged)
    damaged = [name for name in damaged if is_listed or not name.endswith(".jsonl")]
    for name in damaged:
        if grown.files[name]:
            damage(storage, name, draw.choice([*DAMAGES]))
    require_same(grown, place, run_repair(place, grown.source))


def test_repair_exchanged_shards_without_their_source_gives_the_same_bytes(
    first: Made, place: str, tmp_path: Path
) -> None:
    """No file may be replaced before the records in it are written elsewhere."""
    storage = first.write(place)
    make_file(tmp_path / "other", "cat/1.png")
    for one, other in zip(first.shards, [*first.shards[1:], first.shards[0]], strict=True):
        storage.replace(one, first.files[other])
    require_same(first, place, run_repair(place, tmp_path / "other"))


@pytest.mark.parametrize("step", [5, EVERY])
def test_repair_of_exchanged_shards_killed_anywhere_loses_no_record(
    first: Made, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    kills, number = Kills(monkeypatch), 0
    make_file(tmp_path / "other", "cat/1.png")
    while True:
        number += step
        location = f"{place}{number}"
        storage = first.write(location)
        for one, other in zip(first.shards, [*first.shards[1:], first.shards[0]], strict=True):
            storage.replace(one, first.files[other])
        try:
            with kills.at(number):
                run_repair(location, tmp_path / "other")
            break
        except KilledError:
            pass
        run_repair(location, tmp_path / "other")
        assert read_all(location) == first.files, number
    assert number > 2 * len(first.shards)


def test_repair_of_a_damaged_record_reads_only_its_file(first: Made, tmp_path: Path) -> None:
    """All other records are those of the damaged shard: their files may be missing."""
    data = str(tmp_path / "data")
    storage = first.write(data)
    index = read_index(storage, index_name(SHARD))
    row = index.rows()[3]
    content = bytearray(first.files[SHARD])
    content[row.offset + 20] ^= 1
    storage.replace(SHARD, bytes(content))
    source = tmp_path / "source"
    make_file(source, row.key, (first.source / row.key).read_bytes())
    report = run_repair(data, source)
    require_same(first, data, report)
    assert (report.files[0].from_dataset, report.files[0].from_source) == (len(index) - 1, 1)


def test_repair_after_a_source_file_has_changed_names_its_key_and_repairs_the_others(
    first: Made, place: str, tmp_path: Path
) -> None:
    storage = first.write(place)
    source = tmp_path / "changed"
    shutil.copytree(first.source, source)
    keys = [row.key for row in read_index(storage, index_name(SHARD)).rows()]
    for number, key in enumerate(keys[:7]):
        content = make_picture(9000 + number)
        if number % 2:
            (source / key).unlink()
        else:
            make_file(source, key, content)
    others = [name for name in first.shards if name != SHARD]
    for name in first.shards:
        storage.remove(name)
    report = run_repair(place, source)
    assert report.status == "incomplete"
    assert [file.file for file in report.files if file.is_repaired] == others
    (lost,) = [file for file in report.files if not file.is_repaired]
    assert sorted(lost.missing_keys) == sorted(keys[:7])
    assert "7 images missing" in lost.problem
    assert sum(key in repr(report) for key in keys) == 5
    assert "2 more" in repr(report)
    assert {name: storage.read(name) for name in others} == {
        name: first.files[name] for name in others
    }
    assert storage.stat(SHARD) is None
    require_same(first, place, run_repair(place, first.source))


def test_repair_finds_renamed_source_files(first: Made, tmp_path: Path) -> None:
    data, source = str(tmp_path / "data"), tmp_path / "renamed"
    shutil.copytree(first.source / "cat", source / "tiger")
    for path in sorted((first.source / "dog").iterdir()):
        make_file(source, f"dog/new-{path.name}", path.read_bytes())
    storage = first.write(data)
    storage.remove(SHARD)
    require_same(first, data, run_repair(data, source))


def test_repair_of_a_record_with_another_image_and_right_checksums(grown: Made, place: str) -> None:
    """Only the hash of the shard shows that a record was exchanged for one of the same size."""
    storage = grown.write(place)
    name = next(name for name in grown.shards if "/" not in name)
    frames = list(read_shard(storage, name))
    row = read_index(storage, index_name(name)).rows()[0]
    payload = bytearray(frames[0].payload)
    begin = row.image_offset - row.offset - 12
    payload[begin + row.stored_bytes - 10] ^= 0xFF
    with storage.overwrite(name) as staged:
        writer = ShardWriter(staged)
        for payload_of in (bytes(payload), *(frame.payload for frame in frames[1:])):
            writer.write(payload_of)
    require_same(grown, place, run_repair(place, grown.source))


@pytest.mark.parametrize("lost", ["index", "both"])
def test_repair_of_all_indexes_or_all_files_of_one_generation(
    first: Made, place: str, lost: str
) -> None:
    storage = first.write(place)
    for name in first.files:
        if name.endswith(".parquet") or (lost == "both" and name != layout.MANIFEST):
            storage.remove(name)
    assert run_repair(place, first.source, dry_run=True).status == "planned"
    require_same(first, place, run_repair(place, first.source))


def test_repair_of_new_shards_without_indexes_converts_their_generation_again(
    grown: Made, place: str
) -> None:
    storage = grown.write(place)
    for name in grown.files:
        if name.startswith("generations/0002/") and name.endswith((".parquet", ".tfrecord")):
            storage.remove(name)
    require_same(grown, place, run_repair(place, grown.source))


def test_repair_of_new_shards_without_indexes_of_a_generation_that_also_edits(
    grown: Made, place: str
) -> None:
    storage = grown.write(place)
    written = [name for name in grown.shards if name.startswith("generations/0005/")]
    keys = {name: read_index(storage, index_name(name)).keys(0, 1)[0] for name in written}
    new = [name for name in written if keys[name].partition("/")[2].startswith("3-")]
    assert 0 < len(new) < len(written)
    for name in new:
        storage.remove(name)
        storage.remove(index_name(name))
    require_same(grown, place, run_repair(place, grown.source))


def test_repair_of_an_edited_shard_without_index_is_refused(grown: Made, place: str) -> None:
    storage = grown.write(place)
    name = next(name for name in grown.shards if name.startswith("generations/0003/"))
    storage.remove(name)
    storage.replace(index_name(name), b"damaged")
    report = run_repair(place, grown.source)
    assert report.status == "incomplete"
    assert "does not give generation 3 again" in problem_of(report, name)
    assert "shard is damaged too" in problem_of(report, index_name(name))


def test_repair_with_other_encoders_names_their_versions(
    grown: Made, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = grown.write(place)
    name = next(name for name in grown.shards if "/" not in name)
    storage.remove(name)
    for other in grown.shards:
        if "/" in other:
            storage.remove(other)
    from records.images import normalize

    monkeypatch.setattr(normalize, "encode_image", lambda *_: make_picture(5))
    here = {**encoder_versions(), "pillow": "0.1"}
    monkeypatch.setattr("pipelines.repair.explain.encoder_versions", lambda: here)
    problem = problem_of(run_repair(place, grown.source), name)
    assert "other bytes" in problem
    assert f"pillow {encoder_versions()['pillow']}, this environment has 0.1" in problem


@pytest.mark.parametrize("kind", ["compacted", "rolled back", "pruned"])
def test_repair_of_a_dataset_with_an_edited_past(grown: Made, tmp_path: Path, kind: str) -> None:
    data = str(tmp_path / "data")
    grown.write(data)
    if kind == "compacted":
        compact(data, data := str(tmp_path / "compacted"))
    elif kind == "rolled back":
        rollback(data, to=2)
    else:
        storage = open_storage(data)
        for name in {*grown.files} - file_names(read_manifest(storage)) - {layout.MANIFEST}:
            storage.remove(name)
        for number in range(1, 5):
            storage.remove(layout.saved_manifest_name(number))
    made = read_made(grown.source, data)
    storage = open_storage(data)
    for name in made.shards:
        storage.replace(name, flip(storage.read(name)))
    require_same(made, data, run_repair(data, grown.source))
    for name in shard_names(read_manifest(storage)):
        storage.remove(index_name(name))
    require_same(made, data, run_repair(data, grown.source))


def test_repair_of_the_lists_of_a_generation_that_merged_two_classes(tmp_path: Path) -> None:
    source, data = tmp_path / "source", str(tmp_path / "data")
    make_source(source, 1)
    convert_source(source, data)
    for path in (source / "dog").iterdir():
        path.rename(source / "cat" / f"dog-{path.name}")
    (source / "dog").rmdir()
    (source / "cat/dog-1-0.png").unlink()
    (source / "eel").mkdir()
    (source / "cat/1-1.png").rename(source / "eel/1-1.png")
    options: dict[str, Any] = {"allow_new_classes": True, "accept_gone": True, "max_gone": 1.0}
    report = convert_source(source, data, append=True, rename_class=("dog=cat",), **options)
    assert (report.removed, report.corrected) == (1, 1)
    made, storage = read_made(source, data), open_storage(data)
    for name in (layout.REMOVED, layout.RELABELLED):
        storage.remove(layout.generation_path(name, 2))
    require_same(made, data, run_repair(data, source))


def test_repair_of_an_index_with_rejects_of_a_class_that_was_renamed(tmp_path: Path) -> None:
    source, data = tmp_path / "source", str(tmp_path / "data")
    make_source(source, 1)
    convert_source(source, data, stratify=True)
    for number in range(12):
        make_file(source, f"cat/2-{number}.png", make_picture(200 + number))
        make_file(source, f"dog/bad2-{number}.png", CORRUPT)
    convert_source(source, data, stratify=True, append=True)
    (source / "dog").rename(source / "canis")
    convert_source(source, data, stratify=True, append=True, rename_class=("dog=canis",))
    for path in (source / "canis").glob("bad2-*"):
        path.unlink()
    made, storage = read_made(source, data), open_storage(data)
    for name in made.shards:
        if layout.parent(name) == layout.generation_folder(2):
            storage.remove(index_name(name))
    require_same(made, data, run_repair(data, source))


def test_repair_copies_records_from_before_and_after_their_class_was_renamed(
    tmp_path: Path,
) -> None:
    source, data = tmp_path / "source", str(tmp_path / "data")
    make_source(source, 1)
    convert_source(source, data)
    (source / "dog").rename(source / "canis")
    convert_source(source, data, append=True, rename_class=("dog=canis",))
    make_file(tmp_path / "other", "cat/1.png")
    made, storage = read_made(source, data), open_storage(data)
    before, after = (shard_names(read_generation(storage, number)) for number in (1, 2))
    for names in (after - before, before - after):
        for name in names:
            storage.remove(name)
        require_same(made, data, run_repair(data, tmp_path / "other"))


@pytest.mark.parametrize("step", [4, EVERY])
def test_repair_killed_anywhere_is_finished_by_the_next(
    grown: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    kills, number = Kills(monkeypatch), 0
    one, other = (name for name in grown.shards if "/" not in name and "train" in name)
    damaged = {
        one: "cut", other: "missing", index_name(grown.shards[0]): "missing",
        "labels.txt": "cut", "generations/0002/rejects.jsonl": "missing",
        "generations/0004/relabelled.jsonl": "cut",
    }  # fmt: skip
    while True:
        number += step
        data = str(tmp_path / f"data{number}")
        storage = grown.write(data)
        for name, kind in damaged.items():
            damage(storage, name, kind)
        try:
            with kills.at(number):
                run_repair(data, grown.source)
            break
        except KilledError:
            pass
        report = run_repair(data, grown.source)
        assert report.status in {"repaired", "nothing-to-do"}, report
        assert read_all(data) == grown.files, number
        assert not (Path(data) / layout.WORK_FOLDER).exists()
        shutil.rmtree(data)
    assert number > len(damaged)


def test_repair_keeps_the_run_that_was_refused_and_verify_notes_it(
    first: Made, tmp_path: Path
) -> None:
    data, source = str(tmp_path / "data"), tmp_path / "source"
    storage = first.write(data)
    shutil.copytree(first.source, source)
    for number in range(30):
        make_file(source, f"cat/worse{number}.png", CORRUPT)
    make_file(source, "cat/new.png", make_picture(777))
    with pytest.raises(TooManyRejectsError):
        convert_source(source, data, append=True, max_rejects=3)
    result = CliRunner().invoke(shardmill, ["verify", data, "--json"])
    found = json.loads(result.stdout)
    assert found["findings"] == []
    assert found["unfinished"]["too_many_rejects"] is True
    assert found["unfinished"]["command"] == "convert"
    assert "next" not in found
    storage.remove(SHARD)
    result = CliRunner().invoke(shardmill, ["verify", data])
    assert result.exit_code == 1
    assert f"to repair: shardmill repair {data} SOURCE" in result.output
    assert run_repair(data, source).status == "repaired"
    assert storage.stat(layout.RUN_PLAN) is not None
    convert_source(source, data, append=True)
    assert list(verify(data)) == []


def make_container(source: Path, kind: str) -> Path:
    """Pack the files of a source; return the archive."""
    archive = source.with_name(f"archive.{kind}")
    shutil.make_archive(
        str(source.with_name("archive")), {"zip": "zip", "tar.gz": "gztar"}[kind], source
    )
    return archive


def make_list(source: Path) -> Path:
    """Write a list with several labels per image, groups, and two other columns."""
    rows = ["path,labels,group,score,camera"]
    for number, path in enumerate(sorted(source.rglob("*.png"))):
        labels = ("cat", "dog|wet", "wet", "")[number % 4]
        score = "" if number == 3 else number / 7
        rows.append(f"{path.relative_to(source)},{labels},g{number // 3},{score},c{number % 2}")
    place = source.with_name("list.csv")
    place.write_text("\n".join(rows))
    return place


@pytest.mark.parametrize(
    "kind",
    [
        "zip",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("tar.gz", "list", "parent", "stratified", "raw")
        ),
    ],
)
def test_repair_of_datasets_of_other_sources_and_options(tmp_path: Path, kind: str) -> None:
    source, data = tmp_path / "source", str(tmp_path / "data")
    make_source(source, 1, images=40)
    described: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if kind in {"zip", "tar.gz"}:
        source = make_container(source, kind)
    elif kind == "list":
        described = {"list": str(make_list(source)), "label_separator": "|", "keep_columns": "all"}
        described |= {"group_column": "group"}
        options = {"stratify": True}
    elif kind == "parent":
        for number, path in enumerate(sorted(source.rglob("*.png"))):
            make_file(source, f"{path.parent.name}/p{number % 9}/{path.name}", path.read_bytes())
            path.unlink()
        options = {"group_by": "parent"}
    elif kind == "stratified":
        options = {"stratify": True, "seed": 5}
    else:
        options = {"images": ImageOptions(store="mixed", resize=(5, 5), raw_share=0.5)}
    convert_source(source, data, **described, **options)
    made = read_made(source, data)
    storage = open_storage(data)
    indexes = [index_name(name) for name in made.shards]
    for damaged in (made.shards, indexes, [*made.shards, *indexes]):
        for name in damaged:
            storage.remove(name)
        require_same(made, data, run_repair(data, source, **described))


def test_repair_of_an_intact_dataset_does_nothing(first: Made, place: str) -> None:
    storage = first.write(place)
    report = run_repair(place, first.source)
    assert (report.status, report.files) == ("nothing-to-do", ())
    assert storage.list() == sorted({**first.files, **first.varying})


def test_repair_keeps_a_file_that_another_version_has_derived(
    first: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a file with the digest in the manifest may take its place."""
    data = str(tmp_path / "data")
    storage = first.write(data)

    def derive(manifest: Manifest) -> dict[str, bytes]:
        return {**derived_files(manifest), layout.CROISSANT: b"{}", "later.json": b""}

    monkeypatch.setattr("pipelines.repair.listed.derived_files", derive)
    assert run_repair(data, first.source).status == "nothing-to-do"
    storage.remove(layout.CROISSANT)
    problem = problem_of(run_repair(data, first.source), layout.CROISSANT)
    assert "another version of shardmill has derived it" in problem
    assert storage.stat(layout.CROISSANT) is None


def test_repair_dry_run_writes_nothing(first: Made, place: str) -> None:
    storage = first.write(place)
    storage.remove(SHARD)
    storage.replace("labels.txt", b"x")
    before = read_all(place)
    report = run_repair(place, first.source, dry_run=True)
    assert report.status == "planned"
    assert all(file.is_repaired for file in report.files)
    assert read_all(place) == before


def test_repair_refuses_what_it_cannot_repair(first: Made, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    storage = first.write(data)
    with pytest.raises(UsageError, match="generation 1 of a dataset"):
        run_repair(f"{data}@1", first.source)
    with pytest.raises(InputNotFoundError, match="folder not found"):
        run_repair(data, tmp_path / "nowhere")
    with pytest.raises(InputNotFoundError, match="no finished dataset"):
        run_repair(str(tmp_path / "nothing"), first.source)
    with pytest.raises(UsageError, match="argument resize: it does not describe"):
        sm.repair(data, first.source, resize=4)
    (tmp_path / "adopted").mkdir()
    for name in first.shards:
        (tmp_path / "adopted" / name).write_bytes(storage.read(name))
    sm.adopt([tmp_path / "adopted" / name for name in first.shards], tmp_path / "adopted")
    with pytest.raises(UsageError, match="adopted dataset cannot be repaired") as raised:
        run_repair(str(tmp_path / "adopted"), first.source)
    assert "salvage" in str(raised.value.hint)


def test_repair_command_reports_each_file(first: Made, tmp_path: Path) -> None:
    data, source = str(tmp_path / "data"), str(first.source)
    storage = first.write(data)
    damage(storage, SHARD, "flipped")
    run = CliRunner().invoke
    assert run(shardmill, ["repair", data, source, "--dry-run"]).exit_code == 0
    ended = run(shardmill, ["repair", data, source, "--json"])
    assert ended.exit_code == 0
    found = json.loads(ended.output)
    assert found["files"][0]["file"] == SHARD
    assert found["files"][0]["damage"] == "content"
    assert found["files"][0]["repaired"] is True
    ended = run(shardmill, ["repair", data, source])
    assert ended.output == f"{data}: nothing to repair\n"
    damage(storage, SHARD, "missing")
    (tmp_path / "other" / "cat").mkdir(parents=True)
    make_file(tmp_path / "other", "cat/1.png")
    ended = run(shardmill, ["repair", data, str(tmp_path / "other")])
    assert ended.exit_code == 1
    assert f"not repaired {SHARD} (missing): " in ended.output


def test_repair_restores_no_file_of_a_generation_that_was_pruned_meanwhile(
    grown: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file can have the bytes of removed images, and no manifest lists it."""
    data = str(tmp_path / "data")
    storage = grown.write(data)
    old = next(name for name in grown.shards if name not in shard_names(read_manifest(storage)))
    storage.remove(old)
    checks = 0

    def check_and_prune(*given: Any, **options: Any) -> Any:
        nonlocal checks
        found, checks = find_damage(*given, **options), checks + 1
        if checks == 1:
            prune(data, older_than="0")
        return found

    module = sys.modules["pipelines.repair.repair"]  # the package has a function of this name
    monkeypatch.setattr(module, "find_damage", check_and_prune)
    report = run_repair(data, grown.source)
    assert (report.status, report.files, checks) == ("nothing-to-do", (), 2)
    assert storage.stat(old) is None
    assert list(verify(data)) == []


def test_repair_of_a_dataset_of_which_a_saved_manifest_is_pruned_meanwhile(
    first: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(tmp_path / "data")
    first.write(data)
    monkeypatch.setattr("pipelines.repair.listed.list_saved", lambda _storage: [1, 7])
    assert run_repair(data, first.source).status == "nothing-to-do"


def test_repair_copies_records_of_a_renamed_class_from_another_generation(tmp_path: Path) -> None:
    source, data = tmp_path / "source", str(tmp_path / "data")
    make_source(source, 1)
    convert_source(source, data)
    (source / "cat").rename(source / "tiger")
    convert_source(source, data, append=True, rename_class={"cat": "tiger"})
    made, storage = read_made(source, data), open_storage(data)
    make_file(tmp_path / "other", "tiger/1.png")
    for name in (name for name in made.shards if name.startswith("generations/0002/")):
        storage.remove(name)
    require_same(made, data, run_repair(data, tmp_path / "other"))


def test_repair_of_the_lists_of_a_generation_that_merges_classes(tmp_path: Path) -> None:
    source, data = tmp_path / "source", str(tmp_path / "data")
    make_source(source, 1)
    for number in range(3):
        make_file(source, f"emu/{number}.png", make_picture(700 + number))
    convert_source(source, data)
    (source / "emu/0.png").rename(source / "dog/emu.png")
    (source / "cat/1-1.png").rename(source / "dog/cat.png")
    for key in ("emu/1.png", "emu/2.png", "cat/1-2.png"):
        (source / key).unlink()
    (source / "emu").rmdir()
    options: dict[str, Any] = {"accept_gone": True, "max_gone": 9, "rename_class": {"emu": "dog"}}
    convert_source(source, data, append=True, **options)
    made, storage = read_made(source, data), open_storage(data)
    for name in ("generations/0002/removed.jsonl", "generations/0002/relabelled.jsonl"):
        assert made.files[name]
        storage.remove(name)
    require_same(made, data, run_repair(data, source))


@pytest.mark.slow
def test_repair_of_appended_images_of_known_groups_plans_their_generation_again(
    tmp_path: Path,
) -> None:
    source, data = tmp_path / "source", str(tmp_path / "data")
    described: dict[str, Any] = {"label_separator": "|", "group_column": "group", "stratify": True}
    for number in (1, 2):
        make_source(source, number, images=40)
        rows = ["path,labels,group"]
        for path in sorted(source.rglob("*.png")):
            labels = ("cat", "dog|wet", "wet", "")[crc32(path.name.encode()) % 4]
            rows.append(f"{path.relative_to(source)},{labels},g{path.stem[-1]}")
        file = make_file(tmp_path, "list.csv", "\n".join(rows).encode())
        convert_source(source, data, append=number > 1, list=str(file), **described)
    made, storage = read_made(source, data), open_storage(data)
    for name in made.files:
        if name.startswith("generations/0002/") and name.endswith((".parquet", ".tfrecord")):
            storage.remove(name)
    del described["stratify"]
    require_same(made, data, run_repair(data, source, list=str(file), **described))


@pytest.mark.parametrize("damaged", [[SHARD], [SHARD, index_name(SHARD)]], ids=["shard", "both"])
def test_repair_of_local_files_that_cannot_be_read(
    first: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: list[str]
) -> None:
    """As with a defective disk, or without permission."""
    data = str(tmp_path / "data")
    storage = first.write(data)
    storage.remove(next(name for name in first.shards if name != SHARD))
    open_descriptor = LocalStorage._open_descriptor  # noqa: SLF001

    def refuse(storage: LocalStorage, name: str) -> int:
        if name in damaged:
            raise StorageError("the file cannot be read", path=storage.display_name(name))
        return open_descriptor(storage, name)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "_open_descriptor", refuse)
        report = run_repair(data, first.source)
    assert {file.file for file in report.files if file.damage == "unreadable"} == {*damaged}
    require_same(first, data, report)


def test_repair_of_a_compacted_dataset_keeps_few_shards_open(
    grown: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its shards can have records of all shards of earlier generations."""
    data = str(tmp_path / "data")
    storage = grown.write(data)
    compact(data, in_place=True)
    made = read_made(grown.source, data)
    for name in shard_names(read_manifest(storage)):
        storage.remove(name)
    make_file(tmp_path / "other", "cat/1.png")
    opened, most = weakref.WeakSet[Any](), 0
    open_random_access = LocalStorage.open_random_access

    def count(storage: LocalStorage, name: str) -> Any:
        nonlocal most
        reader = open_random_access(storage, name)
        opened.add(reader)
        most = max(most, len(opened))
        return reader

    monkeypatch.setattr(LocalStorage, "open_random_access", count)
    monkeypatch.setattr("pipelines.repair.stored._MOST_OPEN", 2)
    require_same(made, data, run_repair(data, tmp_path / "other"))
    assert most == 3  # the next one is opened before another one is closed
