"""Programs for Croissant read every record of a dataset."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import shardmill as sm
from records.format.manifest import ShardInfo, read_manifest
from records.format.metadata.croissant import croissant_files
from records.format.metadata.croissant_files import MAX_LISTED_FILES
from records.storage import open_storage
from tests.pipelines.pictures import make_file, make_folders, make_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def read_document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "croissant.json").read_bytes())
    return found


def load(folder: Path) -> Any:
    """Open the metadata with the reference implementation, which raises an error for a defect."""
    mlcroissant = pytest.importorskip("mlcroissant", reason="needs shardmill[dev]: no mlcroissant")
    return mlcroissant.Dataset(str(folder / "croissant.json"))


def read_records(dataset: Any, name: str = "records") -> list[dict[str, Any]]:
    """Return the records of a record set: texts are str, and names have no prefix."""
    return [
        {
            key.partition("/")[2]: value.decode() if isinstance(value, bytes) else value
            for key, value in record.items()
        }
        for record in dataset.records(name)
    ]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of three generations: the last one removes a record of the first one."""
    folder = tmp_path_factory.mktemp("grown")
    source, data = make_folders(folder / "photos", daisy=6, rose=5), folder / "data"
    sm.convert(source, data, test=0.3, shards=3)
    make_file(source, 'a "b" @c/new.png', make_picture(900))
    sm.append(source, data, allow_new_classes=True)
    sm.remove(data, keys=[sm.open_dataset(data)["train"][0].key])
    return data


def test_croissant_of_three_generations_has_the_records_of_the_dataset(grown: Path) -> None:
    dataset, metadata = sm.open_dataset(grown), load(grown)
    assert not metadata.metadata.ctx.issues.errors
    found = [
        (record["key"], record["split"], record["label"], record["index"])
        for record in read_records(metadata)
    ]
    expected = [
        (record.key, split, record.label, index)
        for split, records in dataset.items()
        for record, index in zip(records, indexes_of(grown, split), strict=True)
    ]
    assert sorted(found) == sorted(expected)
    names = [record["name"] for record in read_records(metadata, "labels")]
    assert names == list(dataset.class_names)
    splits = {record["name"]: record["records"] for record in read_records(metadata, "splits")}
    assert splits == {name: len(records) for name, records in dataset.items()}


def indexes_of(folder: Path, split: Any) -> list[str]:
    """Return the name of the index of each record of a split."""
    from records.format.layout import index_name

    shards = read_manifest(open_storage(folder)).splits[split].shards
    return [index_name(shard.name) for shard in shards for _ in range(shard.records)]


def test_croissant_files_of_a_small_dataset_have_their_hashes(grown: Path) -> None:
    import hashlib

    listed = {
        entry["contentUrl"]: entry["sha256"]
        for entry in read_document(grown)["distribution"]
        if entry["@type"] == "cr:FileObject"
    }
    files = {name: hashlib.sha256((grown / name).read_bytes()).hexdigest() for name in listed}
    assert listed == files
    shards = {shard for info in manifest_of(grown).splits.values() for shard in info.shards}
    assert len(listed) == 2 * len(shards)


def manifest_of(folder: Path) -> Any:
    return read_manifest(open_storage(folder))


def test_croissant_of_many_shards_stays_small(build_dataset: Callable[..., Path]) -> None:
    manifest = manifest_of(build_dataset())
    train = manifest.splits["train"]
    (first, *_) = train.shards

    def name(number: int, count: int) -> ShardInfo:
        shard = f"train-{number:05d}-of-{count:05d}.tfrecord"
        renamed: ShardInfo = msgspec.structs.replace(first, name=shard)
        return renamed

    sizes = []
    for count in (MAX_LISTED_FILES, 20 * MAX_LISTED_FILES):
        shards = tuple(name(number, count) for number in range(count))
        many = msgspec.structs.replace(train, shards=shards)
        splits = manifest.splits | {"train": many}
        changed = msgspec.structs.replace(manifest, splits=splits)
        sizes.append(len(croissant_files(changed)["croissant.json"]))
    assert sizes[0] == sizes[1] < 20_000


def test_croissant_of_dataset_without_records_is_valid(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    empty = msgspec.structs.replace(manifest_of(folder), splits={})
    (folder / "croissant.json").write_bytes(croissant_files(empty)["croissant.json"])
    assert read_document(folder)["recordSet"] == []
    assert not load(folder).metadata.ctx.issues.errors


@pytest.mark.slow
def test_croissant_of_adopted_files_has_their_records(grown: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for number, name in enumerate(("train-00001-of-00003", "train-00002-of-00003")):
        shutil.copy(grown / f"{name}.tfrecord", theirs / f"my train-0000{number}-of-00002.record")
    (tmp_path / "it.toml").write_text('name = "Theirs"')
    sm.adopt([*theirs.glob("*.record")], theirs, describe=tmp_path / "it.toml")
    metadata, dataset = load(theirs), sm.open_dataset(theirs)
    assert metadata.metadata.name == "Theirs"
    keys = sorted(record["key"] for record in read_records(metadata))
    assert keys == sorted(record.key for record in dataset["train"])
    assert "# Theirs" in (theirs / "README.md").read_text()


def test_croissant_ids_are_distinct_whatever_the_names_of_adopted_files(
    grown: Path, tmp_path: Path
) -> None:
    names = ("records", "labels", "shards", "indexes", "records/key")
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(next(grown.glob("train-*.tfrecord")), folder / name)
        sm.adopt(folder / name, folder, splits={"*": "train"})
        ids = list(find_ids(read_document(folder)))
        assert len(set(ids)) == len(ids)


def find_ids(value: Any) -> Iterator[str]:
    """Yield the IDs of all nodes; an object with only an ID refers to another node."""
    if isinstance(value, list):
        for each in value:
            yield from find_ids(each)
    elif isinstance(value, dict):
        if "@type" in value and "@id" in value:
            yield value["@id"]
        for each in value.values():
            yield from find_ids(each)


@pytest.mark.slow
def test_croissant_has_kept_columns_and_several_labels(tmp_path: Path) -> None:
    rows = ["path,label,age,it's \\ a note"]
    for number in range(4):
        make_file(tmp_path / "photos", f"{number}.png", make_picture(number))
        rows.append(f'{number}.png,"{"a;b" if number % 2 else "b"}",{number},é{number}')
    (tmp_path / "list.csv").write_text("\n".join(rows))
    data = tmp_path / "data"
    sm.convert(
        tmp_path / "photos",
        data,
        list=tmp_path / "list.csv",
        multi_label=True,
        label_separator=";",
        keep_columns="all",
    )
    found = {record["key"]: record for record in read_records(load(data))}
    for record in sm.open_dataset(data)["train"]:
        row = found[record.key]
        assert list(row["labels"]) == list(record.labels)
        assert row["column/age"] == record.columns["age"]
        assert row["column/it%27s%20%5C%20a%20note"] == record.columns["it's \\ a note"]
