"""Rollbacks: new generations with the records of earlier ones."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.clean import clean
from pipelines.compact import compact
from pipelines.fingerprints import read_fingerprints
from pipelines.rollback import rollback
from records import open_dataset, verify
from records.errors import CorruptDataError, InputNotFoundError, OutputError, UsageError
from records.format import layout
from records.format.manifest import read_manifest
from records.history import log
from records.storage import Storage, open_storage
from records.storage.work_folder import record_command
from shardmill.cli import shardmill
from tests.pipelines.history.grown import Grown, keys_at
from tests.pipelines.pictures import content_of
from tests.pipelines.test_files_of_user import KilledError, Kills


def roll_back(grown: Grown, to: int | None = None) -> int:
    """Roll back, and keep the keys of the new generation; return its number."""
    report = rollback(grown.location, to=to)
    assert report.status == "rolled-back"
    assert report.generation == grown.present + 1
    grown.keys[report.generation] = grown.keys[report.to]
    return report.generation


def check(grown: Grown) -> None:
    """Check that each generation has the records of the model."""
    assert keys_at(grown.location) == grown.keys[grown.present]
    for number, keys in grown.keys.items():
        assert keys_at(grown.at(number)) == keys, number
        assert list(verify(grown.at(number))) == [], number
    assert list(verify(grown.location, decode=True)) == []
    for entry in log(grown.location).generations:
        before = grown.keys.get(entry.generation - 1, frozenset())
        now = grown.keys[entry.generation]
        assert entry.records == len(now)
        assert (entry.added, entry.removed) == (len(now - before), len(before - now))


@pytest.mark.parametrize("to", [1, 2, 3])
def test_rollback_has_the_records_of_the_generation(grown: Grown, to: int) -> None:
    before = read_manifest(open_storage(grown.location))
    roll_back(grown, to)
    check(grown)
    manifest = read_manifest(open_storage(grown.location))
    assert [each.number for each in manifest.generations] == [*range(1, to + 1), 5]
    assert open_dataset(grown.location).labels == open_dataset(grown.at(to)).labels
    assert read_manifest(open_storage(grown.location)).settings == before.settings
    entry = log(grown.location).generations[0]
    assert entry.provenance is not None
    assert entry.provenance.command == f"rollback --to {to}"


def test_rollback_by_default_returns_to_the_generation_before(grown: Grown) -> None:
    roll_back(grown)
    assert keys_at(grown.location) == grown.keys[3]
    roll_back(grown)
    assert keys_at(grown.location) == grown.keys[4]
    check(grown)


def test_rollback_twice_has_nothing_to_do(grown: Grown) -> None:
    roll_back(grown, 2)
    before = open_storage(grown.location).list()
    report = rollback(grown.location, to=2)
    assert (report.status, report.generation) == ("nothing-to-do", 5)
    assert rollback(grown.location, to=5).status == "nothing-to-do"
    assert open_storage(grown.location).list() == before
    assert layout.WORK_FOLDER not in {name.partition("/")[0] for name in before}


def test_rollback_leaves_a_damaged_generation(tmp_path: Path) -> None:
    """The fingerprints are those of its files, which are unknown: the next append reads all."""
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    storage = open_storage(grown.location)
    assert len(read_fingerprints(storage))
    indexes = (name for name in storage.list("generations/0002") if name.endswith(".parquet"))
    storage.remove(index := next(indexes))
    roll_back(grown, 1)
    assert keys_at(grown.location) == grown.keys[1]
    (finding,) = verify(grown.location, decode=True)
    assert (finding.file, finding.detail) == (index, "file not found; generation 2 needs this file")
    assert len(read_fingerprints(storage)) == 0
    storage.remove(layout.CARD)
    before = storage.list()
    assert rollback(grown.location, to=1).status == "nothing-to-do"
    assert storage.list() == before
    report = grown.append(["cat/next.png"])
    assert keys_at(grown.location) == grown.keys[2] | {"cat/next.png"}
    assert (report.differences.changed, report.differences.renamed) == (0, 0)


def test_rollback_dry_run_writes_nothing(grown: Grown) -> None:
    storage = open_storage(grown.location)
    before = {name: storage.read(name) for name in storage.list()}
    report = rollback(grown.location, to=2, dry_run=True)
    assert (report.status, report.generation, report.to) == ("planned", 5, 2)
    assert {name: storage.read(name) for name in storage.list()} == before


def test_append_after_a_rollback_converts_the_images_again(grown: Grown) -> None:
    roll_back(grown, 2)
    dropped = grown.keys[4] - grown.keys[2]
    report = grown.append([])
    assert (report.generation, report.counts.stored) == (6, len(dropped))
    grown.keys[6] = grown.keys[2] | dropped
    check(grown)
    assert keys_at(grown.location) == grown.keys[4]


def test_rollback_forgets_the_fingerprints_of_the_generations_that_it_drops(grown: Grown) -> None:
    """These files may have other content when a later generation stores them again."""
    storage = open_storage(grown.location)
    before = {key.decode() for key in read_fingerprints(storage)["key"].to_pylist()}
    assert before >= grown.keys[4]
    roll_back(grown, 2)
    after = {key.decode() for key in read_fingerprints(storage)["key"].to_pylist()}
    assert after == before - (grown.keys[4] - grown.keys[2]) - {"dog/bad4.png"}


def test_compact_after_a_rollback_gives_the_bytes_of_the_generation(
    grown: Grown, tmp_path: Path
) -> None:
    compact(grown.at(2), str(tmp_path / "direct"))
    roll_back(grown, 2)
    compact(grown.location, str(tmp_path / "after"))
    assert content_of(tmp_path / "after") == content_of(tmp_path / "direct")


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))]
)
def test_random_rollbacks_and_appends_match_the_model(
    tmp_path: Path, place: str, seed: int
) -> None:
    draw = random.Random(seed)
    grown = Grown(tmp_path / "source", place)
    grown.grow(2)
    for _ in range(5):
        if draw.random() < 0.5:
            to = draw.randint(1, grown.present)
            if rollback(grown.location, to=to, dry_run=True).status != "nothing-to-do":
                roll_back(grown, to)
        else:
            missing = frozenset().union(*grown.keys.values()) - grown.keys[grown.present]
            grown.grow(1)
            grown.keys[grown.present] |= missing
    check(grown)


@pytest.mark.parametrize("command", ["convert", "compact", "WriteDataset"])
def test_rollback_refuses_an_unfinished_run_of_another_command(grown: Grown, command: str) -> None:
    storage = open_storage(grown.location)
    record_command(storage, command)  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="unfinished run"):
        rollback(grown.location, to=1)
    assert keys_at(grown.location) == grown.keys[4]


def test_rollback_of_missing_generations_is_an_error(grown: Grown) -> None:
    for to in (0, 9):
        with pytest.raises(UsageError, match=f"no generation {to}"):
            rollback(grown.location, to=to)
    open_storage(grown.location).remove("generations/0002/dataset.json")
    with pytest.raises(InputNotFoundError, match="pruned"):
        rollback(grown.location, to=2)
    with pytest.raises(UsageError, match="cannot be written to"):
        rollback(grown.at(3))
    assert keys_at(grown.location) == grown.keys[4]


def test_rollback_of_the_first_generation_is_an_error(tmp_path: Path, place: str) -> None:
    grown = Grown(tmp_path / "source", place)
    grown.grow(1)
    with pytest.raises(UsageError, match="only one generation"):
        rollback(grown.location)


def test_rollback_to_a_generation_with_a_missing_shard_is_refused(grown: Grown) -> None:
    roll_back(grown, 1)
    storage = open_storage(grown.location)
    name = next(name for name in storage.list("generations/0002") if name.endswith(".tfrecord"))
    storage.remove(name)
    with pytest.raises(CorruptDataError, match="generations/0002"):
        rollback(grown.location, to=3)
    assert keys_at(grown.location) == grown.keys[1]


@pytest.mark.parametrize("name", [layout.REJECTS, layout.SKIPPED])
@pytest.mark.parametrize("has_fingerprints", [True, False])
def test_rollback_to_a_generation_with_a_missing_list_is_refused(
    grown: Grown, name: str, has_fingerprints: bool
) -> None:
    roll_back(grown, 1)
    storage = open_storage(grown.location)
    storage.remove(f"generations/0002/{name}")
    if not has_fingerprints:
        storage.remove(layout.FINGERPRINTS)
    before = sorted(storage.list())
    with pytest.raises(CorruptDataError, match=f"generations/0002/{name}: a file of the gen"):
        rollback(grown.location, to=2)
    assert sorted(storage.list()) == before
    assert [it.file for it in verify(grown.location)] == [f"generations/0002/{name}"]


@pytest.mark.parametrize("name", ["labels.txt", "features.json", "generations/0005/rejects.jsonl"])
def test_rollback_keeps_a_file_of_the_user(grown: Grown, name: str) -> None:
    storage = open_storage(grown.location)
    storage.replace(name, b"mine")
    before = storage.read(layout.MANIFEST)
    with pytest.raises(OutputError, match="shardmill did not write this file"):
        rollback(grown.location, to=1)
    assert storage.read(name) == b"mine"
    assert storage.read(layout.MANIFEST) == before


@pytest.mark.parametrize(
    ("to", "step"),
    [(1, 7), *(pytest.param(to, 1, marks=pytest.mark.slow) for to in (None, 1, 2))],
)
@pytest.mark.parametrize("after", ["again", "clean", "append"])
def test_rollback_killed_anywhere_is_finished_or_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: int | None, step: int, after: str
) -> None:
    base = Grown(tmp_path / "source", str(tmp_path / "base"))
    base.grow(3)
    kills, number = Kills(monkeypatch), 0
    while True:
        number += step
        grown = Grown(base.source, str(tmp_path / f"data{number}"), dict(base.keys))
        shutil.copytree(base.location, grown.location)
        try:
            with kills.at(number):
                rollback(grown.location, to=to)
            break
        except KilledError:
            pass
        assert list(verify(grown.location)) == [], number
        is_published = len(log(grown.location).generations) == 4
        if after == "again":
            rollback(grown.location, to=to)
            expected = grown.keys[2 if to is None else to]
        elif after == "clean":
            if (Path(grown.location) / layout.WORK_FOLDER).exists():
                clean(grown.location)
            expected = grown.keys[(2 if to is None else to) if is_published else 3]
        else:
            grown.append([])
            expected = grown.keys[3]
        assert list(verify(grown.location, decode=True)) == [], number
        assert keys_at(grown.location) == expected, number
        assert not (Path(grown.location) / layout.WORK_FOLDER).exists()
        if after == "again":
            assert len(log(grown.location).generations) == 4
        shutil.rmtree(grown.location)
    assert number > 8


@pytest.mark.parametrize("damaged", ["x", True, None, [1], 1.5])
def test_killed_rollback_with_damaged_provenance_is_rolled_back(
    grown: Grown, monkeypatch: pytest.MonkeyPatch, damaged: object
) -> None:
    def kill(storage: Storage, name: str, *given: Any) -> None:
        swap(storage, name, *given)
        if name == layout.MANIFEST:
            raise KilledError

    storage = open_storage(grown.location)
    swap: Any = type(storage).compare_and_swap
    with monkeypatch.context() as patch:
        patch.setattr(type(storage), "compare_and_swap", kill)
        with pytest.raises(KilledError):
            rollback(grown.location, to=1)
    name = "generations/0005/provenance.json"
    provenance = json.loads(storage.read(name)) | {"options": {"to": damaged}}
    storage.replace(name, json.dumps(provenance).encode())
    assert rollback(grown.location).to == 4
    assert keys_at(grown.location) == grown.keys[4]


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_append_of_a_class_killed_anywhere_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    base = Grown(tmp_path / "source", str(tmp_path / "base"))
    base.grow(2)
    kills, number = Kills(monkeypatch), 0
    while True:
        number += step
        grown = Grown(base.source, str(tmp_path / f"data{number}"), dict(base.keys))
        shutil.copytree(base.location, grown.location)
        try:
            with kills.at(number):
                grown.append(["zebra/1.png"])
            break
        except KilledError:
            assert list(verify(grown.location)) == [], number
    assert number > 20


def test_rollback_command_prints_what_it_did(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    run = CliRunner().invoke
    assert run(shardmill, ["rollback", grown.location, "--to", "0"]).exit_code == 2
    ended = run(shardmill, ["rollback", grown.location, "--message", "why", "--json"])
    assert json.loads(ended.output) == {
        "status": "rolled-back", "dataset": grown.location, "generation": 3, "to": 1,
        "records": 4, "records_before": 8,
    }  # fmt: skip
    entry = log(grown.location).generations[0]
    assert entry.provenance is not None
    assert entry.provenance.message == "why"
    assert "generation 4 has the 8 records" in run(shardmill, ["rollback", grown.location]).output
