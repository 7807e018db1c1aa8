"""`prune` removes old generations, and the files that only they need."""

from __future__ import annotations

import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from pipelines.compact import compact
from pipelines.prune import prune
from pipelines.repair.waiting import waiting_name
from pipelines.rollback import rollback
from records import open_dataset, verify
from records.dedup import find_near_duplicates
from records.errors import (
    CorruptDataError,
    InputNotFoundError,
    LockedError,
    ShardmillError,
    UsageError,
)
from records.format import layout
from records.format.digest import FileDigest, digest_stream
from records.format.manifest import read_manifest
from records.generations import list_saved, read_provenance, read_saved
from records.history import log
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.pipelines.history.grown import Grown, keys_at
from tests.pipelines.pictures import content_of
from tests.pipelines.test_files_of_user import KilledError, Kills


def set_age(grown: Grown, generation: int, days: float) -> None:
    """Change the provenance of a generation, as if it had been published days ago."""
    storage = open_storage(grown.location)
    found = read_provenance(storage, generation)
    assert found is not None
    ended = datetime.now(UTC) - timedelta(days=days)
    content = msgspec.json.encode(msgspec.structs.replace(found, ended=ended))
    storage.replace(layout.generation_path(layout.PROVENANCE, generation), content)


@pytest.fixture
def aged(grown: Grown) -> Grown:
    """Return a dataset whose generations 1 to 6 were published 60, 50, … 10 days ago.

    Generation 5 is a rollback to generation 2, so only saved manifests have the generations 3, 4.
    """
    grown.keys[rollback(grown.location, to=2).generation] = grown.keys[2]
    grown.append(["cat/last.png"])
    grown.keys[6] = grown.keys[4] | {"cat/last.png"}
    for number in range(1, 7):
        set_age(grown, number, 70 - 10 * number)
    return grown


def files_needed(grown: Grown) -> set[str]:
    """Return the names of the shards and indexes of all manifests."""
    storage = open_storage(grown.location)
    manifests = [read_manifest(storage), *(read_saved(storage, n) for n in list_saved(storage))]
    shards = {
        shard.name
        for manifest in manifests
        for info in manifest.splits.values()
        for shard in info.shards
    }
    return shards | {*map(layout.index_name, shards)}


def files_stored(grown: Grown) -> set[str]:
    names = open_storage(grown.location).list()
    return {name for name in names if name.endswith((".tfrecord", ".parquet"))} - {
        layout.FINGERPRINTS
    }


def check(grown: Grown, remaining: set[int]) -> None:
    """Check that exactly these earlier generations can be read, and that no file is left over."""
    for number, keys in grown.keys.items():
        if number in remaining or number == grown.present:
            assert keys_at(grown.at(number)) == keys, number
            assert list(verify(grown.at(number))) == [], number
        else:
            with pytest.raises(InputNotFoundError, match="pruned"):
                open_dataset(grown.at(number))
    assert list(verify(grown.location, decode=True)) == []
    assert files_stored(grown) == files_needed(grown)
    entries = log(grown.location).generations
    readable = {entry.generation for entry in entries if entry.is_readable}
    assert readable == remaining | {grown.present}
    assert all(entry.provenance is not None for entry in entries)


@pytest.mark.parametrize(
    ("older_than", "remaining"),
    [
        ("65d", {1, 2, 3, 4, 5}),
        ("45d", {2, 3, 4, 5}),
        ("25d", {4, 5}),
        ("15d", {5}),
        ("1h", set()),
        ("0", set()),
    ],
)
def test_prune_removes_the_generations_that_were_replaced_before(
    aged: Grown, older_than: str, remaining: set[int]
) -> None:
    before = files_stored(aged)
    report = prune(aged.location, older_than=older_than)
    assert set(report.generations) == {1, 2, 3, 4, 5} - remaining
    assert (report.unknown, report.kept) == ((), ())
    check(aged, remaining)
    assert before - files_stored(aged) <= set(report.removed)
    again = prune(aged.location, older_than=older_than)
    assert (again.generations, again.removed, again.bytes) == ((), (), 0)


def test_pruned_images_are_in_no_file_of_the_dataset(tmp_path: Path, place: str) -> None:
    grown = Grown(tmp_path / "source", place)
    grown.grow(2)
    storage = open_storage(grown.location)
    first, second = (
        {path.read_bytes() for path in grown.source.rglob(f"{number}*.png")} for number in (1, 2)
    )
    images = second - first  # equal pictures stay
    rollback(grown.location, to=1)

    def found() -> int:
        content = b"".join(storage.read(name) for name in storage.list())
        return sum(image in content for image in images)

    assert found() == len(images) > 0
    prune(grown.location, older_than="0")
    assert found() == 0


def test_prune_removes_the_old_shards_that_a_killed_repair_has_left(
    tmp_path: Path, place: str
) -> None:
    grown = Grown(tmp_path / "source", place)
    grown.grow(2)
    rollback(grown.location, to=1)
    storage = open_storage(grown.location)
    shards = [name for name in storage.list() if name.endswith(".tfrecord")]
    for name in shards:
        storage.replace(waiting_name(name), storage.read(name))
    old = [name for name in shards if name.startswith("generations/0002/")]
    removed = prune(grown.location, older_than="0").removed
    assert {*old, *map(waiting_name, old)} <= {*removed}
    present = {*shards} - {*old}
    assert {*storage.list(layout.WORK_FOLDER)} == {*map(waiting_name, present)}


def test_prune_frees_the_bytes_that_it_reports(aged: Grown) -> None:
    storage = open_storage(aged.location)

    def size() -> int:
        return sum(len(storage.read(name)) for name in storage.list())

    before, names = size(), set(storage.list())
    planned = prune(aged.location, older_than="1d", dry_run=True)
    assert set(storage.list()) == names
    report = prune(aged.location, older_than="1d")
    assert before - size() == report.bytes == planned.bytes > 0
    assert names - set(storage.list()) == set(report.removed) == set(planned.removed)
    assert (planned.dry_run, report.dry_run) == (True, False)
    # The present generation has all other shards: a rollback has dropped these.
    shards = [name for name in report.removed if name.endswith(".tfrecord")]
    assert shards
    assert all(name.startswith(("generations/0003/", "generations/0004/")) for name in shards)


@pytest.mark.parametrize("age", [-1.0, None], ids=["clock set back", "lost"])
def test_prune_of_all_generations_needs_no_time(aged: Grown, age: float | None) -> None:
    for number in range(2, 7):
        if age is None:
            open_storage(aged.location).remove(layout.generation_path(layout.PROVENANCE, number))
        else:
            set_age(aged, number, age)
    kept = prune(aged.location, older_than="1s")
    assert (kept.generations, kept.unknown) == ((), (1, 2, 3, 4, 5) if age is None else ())
    report = prune(aged.location, older_than="0")
    assert (report.generations, report.unknown) == ((1, 2, 3, 4, 5), ())
    assert files_stored(aged) == files_needed(aged)
    assert keys_at(aged.location) == aged.keys[6]
    assert list(verify(aged.location)) == []


def test_prune_keeps_generations_with_an_unknown_time(aged: Grown) -> None:
    storage = open_storage(aged.location)
    storage.remove("generations/0004/provenance.json")
    storage.replace("generations/0006/provenance.json", b"?")
    report = prune(aged.location, older_than="1d")
    assert (report.generations, report.unknown) == ((1, 2, 4), (3, 5))
    assert "unknown: 3, 5" in repr(report)
    assert keys_at(aged.at(3)) == aged.keys[3]
    assert list(verify(aged.location)) == []


def test_append_after_all_generations_are_pruned(aged: Grown) -> None:
    prune(aged.location, older_than="1d")
    aged.grow(1)
    check(aged, {6})


def test_append_and_rollback_after_prune(aged: Grown) -> None:
    prune(aged.location, older_than="35d")
    check(aged, {3, 4, 5})
    aged.grow(1)
    check(aged, {3, 4, 5, 6})
    with pytest.raises(InputNotFoundError, match="pruned"):
        rollback(aged.location, to=2)
    aged.keys[rollback(aged.location, to=3).generation] = aged.keys[3]
    check(aged, {3, 4, 5, 6, 7})


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))]
)
def test_random_histories_match_the_model(tmp_path: Path, place: str, seed: int) -> None:
    draw = random.Random(seed)
    grown = Grown(tmp_path / "source", place)
    grown.grow(2)
    remaining = {1}
    for _ in range(6):
        action = draw.choice(["append", "append", "rollback", "prune", "compact"])
        before = grown.present
        if action == "append":
            missing = frozenset().union(*grown.keys.values()) - grown.keys[before]
            grown.grow(1)
            grown.keys[grown.present] |= missing
        elif action == "rollback":
            report = rollback(grown.location, to=draw.choice([*remaining, before]))
            if report.status == "rolled-back":
                grown.keys[report.generation] = grown.keys[report.to]
        elif action == "compact":
            compacted = compact(grown.location, in_place=True)
            grown.keys[compacted.generation] = grown.keys[before]
        else:
            first = draw.randint(1, before)  # the oldest generation to keep
            for number in range(2, before + 1):
                set_age(grown, number, 9 if number <= first else 1)
            report_of_prune = prune(grown.location, older_than="5d")
            assert set(report_of_prune.generations) == {n for n in remaining if n < first}
            remaining -= set(report_of_prune.generations)
        if grown.present > before:
            remaining.add(before)
    check(grown, remaining)


def test_prune_killed_anywhere_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Grown(tmp_path / "source", str(tmp_path / "base"))
    base.grow(3)
    base.keys[rollback(base.location, to=1).generation] = base.keys[1]
    for number in (2, 3, 4):
        set_age(base, number, 9)
    kills, number = Kills(monkeypatch), 0
    while True:
        number += 1
        data = str(tmp_path / f"data{number}")
        grown = Grown(base.source, data, dict(base.keys))
        shutil.copytree(base.location, data)
        try:
            with kills.at(number):
                prune(data, older_than="1d")
            break
        except KilledError:
            pass
        assert list(verify(data)) == [], number
        assert keys_at(data) == grown.keys[4]
        prune(data, older_than="1d")
        check(grown, set())
    assert number > 8


def test_prune_keeps_changed_files_and_files_of_the_user(
    aged: Grown, caplog: pytest.LogCaptureFixture
) -> None:
    storage = open_storage(aged.location)
    shard = next(name for name in storage.list("generations/0003") if name.endswith(".tfrecord"))
    content = storage.read(shard)
    storage.replace(shard, content[:-1] + bytes([content[-1] ^ 1]))
    storage.replace("generations/0003/notes.txt", b"mine")
    report = prune(aged.location, older_than="1d")
    assert report.kept == (shard,)
    assert shard not in report.removed
    assert storage.read("generations/0003/notes.txt") == b"mine"
    assert storage.stat(shard) is not None
    assert "shardmill did not write it" in caplog.text


def test_prune_removes_the_perceptual_hashes_of_removed_shards(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    find_near_duplicates(grown.location)
    rollback(grown.location, to=1)
    set_age(grown, 3, 9)
    report = prune(grown.location, older_than="1d")
    assert any(name.startswith("generations/0002/hashes/") for name in report.removed)
    assert list(verify(grown.location)) == []


def test_prune_with_a_damaged_saved_manifest_removes_nothing(aged: Grown) -> None:
    storage = open_storage(aged.location)
    storage.replace("generations/0004/dataset.json", b"{}")
    names = storage.list()
    with pytest.raises(CorruptDataError, match="generations/0004") as found:
        prune(aged.location, older_than="1d")
    assert "restore" in str(found.value)
    assert storage.list() == names


def test_prune_keeps_the_state_of_an_unfinished_run(aged: Grown) -> None:
    storage = open_storage(aged.location)
    storage.replace(".shardmill/plan.json", b"{}")
    storage.replace(".shardmill/command", b"convert")
    prune(aged.location, older_than="1d")
    assert storage.read(".shardmill/plan.json") == b"{}"


def test_prune_next_to_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process has left a staged file, and another one has pruned a generation."""
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    set_age(grown, 2, 9)
    storage = open_storage(grown.location)
    storage.replace(".shardmill/staging/.0123456789abcdef-shard", b"?")
    monkeypatch.setattr("pipelines.prune.list_saved", lambda _storage: [0, 1, 2])
    assert prune(grown.location, older_than="1d").generations == (1,)
    assert not storage.list(layout.WORK_FOLDER)


def test_prune_while_another_run_writes_is_refused(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    set_age(grown, 2, 9)
    storage = open_storage(grown.location)
    with storage.lock(), pytest.raises(LockedError):
        prune(grown.location, older_than="1d")
    assert keys_at(grown.at(1)) == grown.keys[1]


def test_prune_whose_lock_is_taken_over_removes_no_more_files(
    aged: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(aged.location)
    with storage.lock() as lock:
        kind = type(lock)
    files, digests = storage.list(), 0

    def lose_lock(_lock: object) -> None:
        raise LockedError("another run took over")

    def read_slowly(stream: Any) -> FileDigest:
        nonlocal digests
        digests += 1
        if digests == 2:
            monkeypatch.setattr(kind, "ensure_held", lose_lock)
        return digest_stream(stream)

    monkeypatch.setattr("pipelines.prune.digest_stream", read_slowly)
    with pytest.raises(LockedError, match="took over"):
        prune(aged.location, older_than="1d")
    assert len(set(files) - set(storage.list())) == 1


@pytest.mark.parametrize("older_than", ["", "7", "x", "-1d", "7w", "1e9d"])
def test_prune_invalid_duration_or_dataset_is_an_error(grown: Grown, older_than: str) -> None:
    if older_than == "7":
        assert prune(grown.location, older_than="7").generations == ()  # seconds
        return
    with pytest.raises(UsageError, match="duration"):
        prune(grown.location, older_than=older_than)
    with pytest.raises(UsageError, match="cannot be written to"):
        prune(grown.at(2), older_than="1d")


def test_prune_of_one_generation_has_nothing_to_do(tmp_path: Path, place: str) -> None:
    grown = Grown(tmp_path / "source", place)
    grown.grow(1)
    assert repr(prune(grown.location, older_than="0")).endswith("nothing to prune")
    with pytest.raises(ShardmillError):
        prune(f"{place}-none", older_than="0")


def test_prune_command_prints_what_it_removed(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(2)
    set_age(grown, 2, 9)
    run = CliRunner().invoke
    assert run(shardmill, ["prune", grown.location]).exit_code == 2
    given = ["prune", grown.location, "--older-than", "7d"]
    before = content_of(tmp_path / "data")
    planned = run(shardmill, [*given, "--dry-run"])
    assert "would remove generation 1: 1 file" in planned.output
    assert content_of(tmp_path / "data") == before
    found = json.loads(run(shardmill, [*given, "--json"]).output)
    assert found["generations"] == [1]
    assert found["removed"] == ["generations/0001/dataset.json"]
    assert "nothing to prune" in run(shardmill, given).output
