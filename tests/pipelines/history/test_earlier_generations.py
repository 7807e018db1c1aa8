"""`DATASET@N` is generation N of a dataset, for everything that reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.compact import compact
from pipelines.convert import convert
from pipelines.edit import remove
from pipelines.extract import extract
from pipelines.fingerprints import read_fingerprints
from pipelines.options import ConvertOptions
from pipelines.prune import prune
from pipelines.repair import make_options, repair
from pipelines.rollback import rollback
from records import open_dataset, verify
from records.errors import CorruptDataError, InputNotFoundError, OutputError, UsageError
from records.format import layout
from records.format.manifest import read_manifest
from records.inspection import inspect
from records.stats import stats
from records.storage import open_storage, write_file
from tests.pipelines.history.grown import Grown, keys_at
from tests.pipelines.pictures import content_of


def test_saved_manifest_has_the_bytes_of_the_manifest_that_was_replaced(grown: Grown) -> None:
    storage = open_storage(grown.location)
    before = storage.read(layout.MANIFEST)
    grown.append(["cat/again.png"])
    assert storage.read("generations/0004/dataset.json") == before
    saved = [name for name in storage.list("generations") if name.endswith(layout.MANIFEST)]
    assert saved == [f"generations/{number:04d}/dataset.json" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("generations", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_each_generation_is_read_and_verified(tmp_path: Path, place: str, generations: int) -> None:
    grown = Grown(tmp_path / "source", place)
    grown.grow(generations)
    for number, keys in grown.keys.items():
        dataset = open_dataset(grown.at(number))
        assert keys_at(grown.at(number)) == keys, number
        assert [each.number for each in dataset.manifest.generations] == [*range(1, number + 1)]
        assert list(verify(grown.at(number), decode=True)) == [], number
        assert stats(grown.at(number)).records == len(keys)
    assert grown.present == generations
    assert list(verify(grown.location)) == []


def test_generation_files_paths_and_names_are_those_of_the_dataset(grown: Grown) -> None:
    dataset = open_dataset(grown.at(2))
    assert dataset.path.endswith("data@2")
    assert repr(dataset).startswith("Dataset(")
    assert "data@2" in repr(inspect(grown.at(2)))
    present = open_dataset(grown.location)
    assert set(dataset.files()) < set(present.files())
    if open_storage(grown.location).is_local:
        assert all(Path(name).is_file() for name in dataset.files())


def test_compact_and_extract_of_a_generation_have_its_records(grown: Grown, tmp_path: Path) -> None:
    compact(grown.at(3), str(tmp_path / "compacted"))
    assert keys_at(str(tmp_path / "compacted")) == grown.keys[3]
    assert list(verify(tmp_path / "compacted", decode=True)) == []
    assert extract(grown.at(2), str(tmp_path / "images")) == len(grown.keys[2])


def test_compact_of_a_generation_has_the_fingerprints_of_its_files(
    grown: Grown, tmp_path: Path
) -> None:
    compact(grown.at(2), str(tmp_path / "compacted"))
    saved = read_fingerprints(open_storage(tmp_path / "compacted"))["key"].to_pylist()
    assert {key.decode() for key in saved} == grown.keys[2] | {"dog/bad2.png"}


def test_compact_into_the_folder_of_the_dataset_is_refused(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    with pytest.raises(UsageError, match="inside the dataset"):
        compact(grown.at(1), f"{grown.location}/compacted")


def test_folder_with_the_name_of_a_generation_is_opened(tmp_path: Path, place: str) -> None:
    named = Grown(tmp_path / "source", f"{place}@1")  # while `data` does not exist
    named.grow(1)
    grown = Grown(tmp_path / "other", place)
    grown.append([f"dog/{number}.png" for number in range(5)])
    assert keys_at(f"{place}@1") == named.keys[1] != grown.keys[1]


@pytest.mark.parametrize("number", [0, 5, 99])
def test_unknown_generation_is_refused_with_the_known_ones(grown: Grown, number: int) -> None:
    with pytest.raises(UsageError, match=f"no generation {number}, expected 1, 2, 3 or 4"):
        open_dataset(grown.at(number))


def test_pruned_generation_is_reported_as_pruned(grown: Grown) -> None:
    open_storage(grown.location).remove("generations/0002/dataset.json")
    with pytest.raises(InputNotFoundError, match=r"generation 2 .* pruned, expected 1, 3 or 4"):
        open_dataset(grown.at(2))
    assert keys_at(grown.at(3)) == grown.keys[3]
    assert list(verify(grown.location)) == []


@pytest.mark.parametrize("damage", [b"", b"{}", "other"])
def test_damaged_saved_manifest_is_one_finding_and_an_error(
    grown: Grown, damage: bytes | str
) -> None:
    storage = open_storage(grown.location)
    name = "generations/0002/dataset.json"
    content = storage.read("generations/0003/dataset.json") if damage == "other" else damage
    storage.replace(name, content)  # type: ignore[arg-type]
    with pytest.raises(CorruptDataError, match="generations/0002"):
        open_dataset(grown.at(2))
    assert [(each.kind, each.file) for each in verify(grown.location)] == [("manifest", name)]
    assert keys_at(grown.location) == grown.keys[4]


def test_compact_of_a_generation_of_a_damaged_dataset(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    storage, new = open_storage(grown.location), str(tmp_path / "new")
    indexes = (name for name in storage.list("generations/0002") if name.endswith(".parquet"))
    storage.remove(next(indexes))
    assert compact(grown.at(1), new).status == "converted"
    assert keys_at(new) == grown.keys[1]
    assert compact(grown.at(1), new).status == "nothing-to-do"
    assert list(verify(new, decode=True)) == []
    assert len(read_fingerprints(open_storage(new))) == 0


def test_folder_of_a_generation_is_refused_with_its_name(grown: Grown) -> None:
    folder = f"{grown.location}/generations/0003"
    with pytest.raises(UsageError, match="folder of a generation") as found:
        open_dataset(folder)
    assert "data@3" in str(found.value.hint)
    with pytest.raises(UsageError, match="folder of a generation"):
        list(verify(folder))
    with pytest.raises(UsageError, match="cannot be written to"):
        rollback(folder)
    with pytest.raises(InputNotFoundError):  # the present generation has no saved manifest
        open_dataset(f"{grown.location}/generations/0004")


@pytest.mark.parametrize("append", [False, True])
def test_convert_into_a_generation_is_refused(grown: Grown, append: bool) -> None:
    before = read_manifest(open_storage(grown.location))
    options = ConvertOptions(source=str(grown.source), output=grown.at(2), append=append)
    with pytest.raises(UsageError, match="cannot be written to"):
        convert(options)
    assert read_manifest(open_storage(grown.location)) == before


def test_saved_manifest_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(1)
    path = tmp_path / "data" / "generations" / "0001" / "dataset.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    before = content_of(tmp_path / "data")
    with pytest.raises(OutputError, match="generations/0001"):
        grown.append(["cat/new.png"])
    assert content_of(tmp_path / "data").items() >= before.items()


def test_folder_of_a_generation_is_refused_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    before = content_of(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data" / "generations" / "0001")
    with pytest.raises(UsageError, match="folder of a generation"):
        open_dataset(".")
    writers: list[Callable[[str], object]] = [
        rollback,
        lambda location: prune(location, older_than="0"),
        lambda location: remove(location, where="width > 0"),
        lambda location: repair(make_options(location, str(grown.source), {})),
    ]
    for write in writers:
        with pytest.raises(UsageError, match="cannot be written to"):
            write(".")
    assert content_of(tmp_path / "data") == before


def test_dataset_in_a_folder_that_is_named_like_a_generation_is_read(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "generations" / "0001"))
    grown.grow(1)
    assert keys_at(grown.location) == grown.keys[1]
    assert grown.append(["cat/new.png"]).generation == 2


@pytest.mark.parametrize("damage", ["missing", "size", "content"])
def test_damage_that_only_earlier_generations_have_is_a_finding_that_names_one(
    grown: Grown, damage: str
) -> None:
    rollback(grown.location, to=1)
    assert list(verify(grown.location)) == []
    storage = open_storage(grown.location)
    suffixes = (".tfrecord", ".parquet", ".jsonl")
    names = sorted(name for name in storage.list("generations/0003") if name.endswith(suffixes))
    assert {Path(name).suffix for name in names} == {*suffixes}
    for name in names:
        content = storage.read(name)
        storage.remove(name)
        if damage != "missing":
            changed = content + b"\n" if damage == "size" else bytes(255 - it for it in content)
            write_file(storage, name, changed)
    kinds = {".tfrecord": "size" if damage == "size" else "checksum", ".parquet": "index"}
    for finding in (found := list(verify(grown.location))):
        kind = kinds.get(Path(finding.file).suffix, Path(finding.file).stem)
        assert finding.kind == ("missing" if damage == "missing" else kind), finding
        assert finding.detail.endswith("; generation 4 needs this file")
    # An empty list has no byte that can change.
    damaged = [it for it in names if damage != "content" or storage.read(it)]
    assert [it.file for it in found] == damaged
    assert list(verify(grown.at(1))) == []
    assert keys_at(grown.location) == grown.keys[1]
