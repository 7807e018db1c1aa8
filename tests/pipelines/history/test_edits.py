"""Generations of removed and relabelled records in the history of a dataset."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

import shardmill as sm
from pipelines.compact import compact
from pipelines.convert import convert
from pipelines.edit import relabel, remove
from pipelines.options import ConvertOptions
from pipelines.prune import prune
from pipelines.rollback import rollback
from records import open_dataset, verify
from records.errors import InputNotFoundError, UsageError
from records.format.layout import generation_path
from records.generations import list_saved, read_provenance
from records.history import diff, log
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.pipelines.history.grown import Grown, keys_at

KEYS = ["cat/1-0.png", "dog/1.png", "cat/3-1.png"]


def classes_at(location: str) -> dict[str, str]:
    splits = open_dataset(location).values()
    return {record.key: record.class_name for split in splits for record in split}


def numbers_at(location: str) -> list[tuple[int | None, ...]]:
    """Return the numbers of each generation: added, removed, relabelled, and records after it."""
    entries = log(location).generations
    return [(it.added, it.removed, it.relabelled, it.records) for it in entries]


def append_again(grown: Grown) -> str:
    options = ConvertOptions(
        source=str(grown.source), output=grown.location, append=True, max_rejects=99
    )
    return convert(options).status


def test_edits_are_generations_that_can_be_read_listed_and_compared(grown: Grown) -> None:
    before = classes_at(grown.location)
    remove(grown.location, keys=KEYS, message="deletion request 17")
    relabel(grown.location, {"cat/1-1.png": ("dog",)}, message="not a cat")
    removed = {key: name for key, name in before.items() if key not in KEYS}
    assert classes_at(grown.at(4)) == before
    assert classes_at(grown.at(5)) == removed
    assert classes_at(grown.at(6)) == classes_at(grown.location) == removed | {"cat/1-1.png": "dog"}
    for number in range(1, 7):
        assert list(verify(grown.at(number), decode=True)) == []
    count = len(removed)
    assert numbers_at(grown.location)[:2] == [(0, 0, 1, count), (0, 3, 0, count)]
    lines = log(grown.location).lines()
    assert "  -0  ~1  " in lines[0]
    assert "not a cat" in lines[0]
    assert "  -3  ~0  " in lines[1]
    assert "deletion request 17" in lines[1]
    summary = diff(grown.at(4), grown.location)
    found = {kind: summary.changes.filter(pc.field(kind))["key"].to_pylist()
             for kind in ("added", "removed", "relabelled", "moved", "modified")}  # fmt: skip
    expected = {"removed": sorted(KEYS), "relabelled": ["cat/1-1.png"]}
    assert found == {"added": [], "moved": [], "modified": []} | expected


def test_edits_have_provenance(grown: Grown) -> None:
    sm.remove(grown.location, where="key == 'dog/1.png'", message="blurred")
    sm.relabel(grown.location, {"cat/1-1.png": "dog"})
    storage = open_storage(grown.location)
    first, second = (read_provenance(storage, number) for number in (5, 6))
    assert first is not None
    assert second is not None
    assert (first.command, first.message, first.source) == ("remove", "blurred", None)
    assert first.options["where"] == "key == 'dog/1.png'"
    assert (second.command, second.message) == ("relabel", None)
    assert first.ended <= second.ended


def test_edit_commands_take_a_message_and_end_with_a_line_for_schedulers(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(1)
    edit = ["remove", grown.location, "--where", "key == 'dog/1.png'", "--message", "a person"]
    command = [sys.executable, "-m", "shardmill", "--log-format=json", *edit]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    last = json.loads(result.stderr.splitlines()[-1])
    assert (last["message"], last["status"], last["generation"]) == ("ended", "removed", 2)
    assert log(grown.location).lines()[0].endswith("a person")


@pytest.mark.parametrize("number", [1, 4])
def test_edit_of_a_generation_is_refused(grown: Grown, number: int) -> None:
    for dry_run in (False, True):
        with pytest.raises(UsageError, match=f"generation {number} of a dataset cannot be written"):
            remove(grown.at(number), keys=KEYS, dry_run=dry_run)
        with pytest.raises(UsageError, match="cannot be written"):
            relabel(grown.at(number), {"dog/1.png": ("cat",)}, dry_run=dry_run)
    assert keys_at(grown.location) == grown.keys[4]


def test_rollback_over_edits_brings_records_back_and_forgets_the_edits(grown: Grown) -> None:
    before = classes_at(grown.location)
    remove(grown.location, keys=KEYS)
    relabel(grown.location, {"cat/1-1.png": ("dog",)})
    rollback(grown.location, to=4)
    assert classes_at(grown.location) == before
    assert list(verify(grown.location, decode=True)) == []
    assert append_again(grown) == "nothing-to-do"
    assert numbers_at(grown.location)[0] == (3, 0, 1, len(before))
    # A rollback of the rollback makes the edits count again.
    rollback(grown.location, to=6)
    assert keys_at(grown.location) == before.keys() - {*KEYS}
    assert append_again(grown) == "nothing-to-do"
    assert numbers_at(grown.location)[0] == (0, 3, 1, len(before) - 3)
    # Only generations from which the present one follows have removed records.
    rollback(grown.location, to=3)
    report = remove(grown.location, keys=[KEYS[0]])
    assert (report.removed, report.removed_before) == (1, 0)
    assert append_again(grown) == "converted"
    assert keys_at(grown.location) == before.keys() - {KEYS[0]}


def test_compacted_generation_before_a_removal_has_its_records(
    grown: Grown, tmp_path: Path
) -> None:
    remove(grown.location, keys=KEYS)
    compact(grown.at(4), str(tmp_path / "before"))
    compact(grown.location, str(tmp_path / "after"))
    assert keys_at(str(tmp_path / "before")) == grown.keys[4]
    assert keys_at(str(tmp_path / "after")) == grown.keys[4] - {*KEYS}
    for folder, status in (("before", "nothing-to-do"), ("after", "nothing-to-do")):
        copy = Grown(grown.source, str(tmp_path / folder))
        assert append_again(copy) == status


class TestErasure:
    """The bytes of removed images are in no file of the dataset after `prune`, or `compact`."""

    @pytest.fixture
    def data(self, tmp_path: Path) -> Grown:
        grown = Grown(tmp_path / "source", str(tmp_path / "data"))
        grown.grow(4)
        return grown

    @staticmethod
    def find(location: str | Path, contents: list[bytes]) -> set[str]:
        """Return the names of all files, of any kind, that contain one of these bytes."""
        folder = Path(location)
        return {
            file.relative_to(folder).as_posix()
            for file in folder.rglob("*")
            if file.is_file() and any(content in file.read_bytes() for content in contents)
        }

    def images(self, grown: Grown, keys: list[str]) -> list[bytes]:
        splits = open_dataset(grown.location).values()
        images = {record.key: record.image for split in splits for record in split}
        return [images[key] for key in keys]

    @pytest.mark.parametrize("seed", range(3))
    def test_prune_after_removal_erases_the_bytes(
        self, data: Grown, tmp_path: Path, seed: int
    ) -> None:
        rng = random.Random(seed)
        keys = rng.sample(sorted(data.keys[4]), 4)
        images = self.images(data, keys)
        others = self.images(data, sorted(data.keys[4] - {*keys}))
        assert self.find(data.location, images)
        # The bytes are in shards of several generations, also of those that a rollback drops.
        remove(data.location, keys=keys[:1])
        relabel(data.location, {keys[1]: ("bird3",), keys[2]: ("cat",)})
        remove(data.location, keys=keys[1:3])
        rollback(data.location, to=rng.choice([4, 5, 6]))
        report = remove(data.location, keys=keys)
        assert report.removed + report.removed_before == 4
        assert self.find(data.location, images) == {*report.old_shards}
        planned = prune(data.location, older_than="0", dry_run=True)
        assert {*report.old_shards} <= {*planned.removed}
        arguments = report.next[0].split()[1:]
        assert CliRunner().invoke(shardmill, arguments).exit_code == 0
        assert list_saved(open_storage(data.location)) == []
        assert self.find(data.location, images) == set()
        assert all(self.find(data.location, [image]) for image in others)
        assert keys_at(data.location) == data.keys[4] - {*keys}
        assert list(verify(data.location, decode=True)) == []
        again = remove(data.location, keys=keys)
        assert (again.removed_before, again.old_shards, again.next) == (4, (), ())
        assert append_again(data) == "nothing-to-do"
        with pytest.raises(InputNotFoundError, match="pruned"):
            open_dataset(data.at(4))

    def test_compact_after_removal_erases_the_bytes(self, data: Grown, tmp_path: Path) -> None:
        images = self.images(data, KEYS)
        remove(data.location, keys=KEYS)
        compact(data.location, str(tmp_path / "new"))
        assert self.find(tmp_path / "new", images) == set()
        assert self.find(data.location, images)
        prune(data.location, older_than="0")
        compact(data.location, str(tmp_path / "later"))
        for folder in (data.location, tmp_path / "later"):
            assert self.find(folder, images) == set()
            assert list(verify(str(folder), decode=True)) == []

    def test_prune_keeps_a_generation_whose_time_of_replacement_is_unknown(
        self, data: Grown
    ) -> None:
        images = self.images(data, KEYS)
        report = remove(data.location, keys=KEYS)
        (Path(data.location) / generation_path("provenance.json", 5)).unlink()
        pruned = prune(data.location, older_than="0.001s")
        assert pruned.unknown == (4,)
        assert self.find(data.location, images) == {*report.old_shards}
        assert keys_at(data.at(4)) == data.keys[4]
        assert prune(data.location, older_than="0").generations == (4,)
        assert self.find(data.location, images) == set()
