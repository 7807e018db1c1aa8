"""Tests of renamed files: random days in a source, and a model."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipelines.report import Report
from records import open_dataset, verify
from records.errors import InputNotFoundError
from records.format import layout
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture

CLASSES = ("cat", "dog")
PICTURES = [make_picture(seed) for seed in range(40)]


@dataclass
class Source:
    """A folder of pictures that changes every day; no two files have the same time."""

    root: Path
    random: Random
    folders: dict[str, str] = field(default_factory=lambda: {name: name for name in CLASSES})
    away: dict[str, bytes] = field(default_factory=dict)
    written: int = 0

    def files(self) -> dict[str, bytes]:
        paths = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in paths}

    def label_of(self, key: str) -> int:
        return [*self.folders.values()].index(key.partition("/")[0])

    def class_map(self) -> dict[str, str] | None:
        return {new: old for old, new in self.folders.items() if old != new} or None

    def write(self, key: str, content: bytes) -> None:
        self.written += 1
        path = make_file(self.root, key, content)
        os.utime(path, (self.written, self.written))

    def live(self) -> None:
        """Make a few random changes."""
        for _ in range(self.random.randint(1, 5)):
            changes = [
                self._add, self._add, self._rename, self._move, self._rename_folder, self._swap,
                self._copy, self._delete, self._edit, self._move_and_edit, self._replace,
                self._move_back, self._touch, self._take_away, self._bring_back,
            ]  # fmt: skip
            self.random.choice(changes)()

    def _any(self) -> str:
        return self.random.choice([*self.files()])

    def _new(self, folder: str | None = None) -> str:
        """Return a name that is free now; another file may have had it before."""
        folder = folder or self.random.choice([*self.folders.values()])
        names = [f"{folder}/{number:02d}.png" for number in range(40)]
        return self.random.choice([name for name in names if not (self.root / name).exists()])

    def _picture(self) -> bytes:
        return self.random.choice(PICTURES)

    def _add(self) -> None:
        self.write(self._new(), self._picture())

    def _rename(self) -> str:
        old = self._any()
        return self._move(old, self._new(old.partition("/")[0]))

    def _move(self, old: str | None = None, new: str | None = None) -> str:
        old, new = old or self._any(), new or self._new()
        (self.root / old).rename(self.root / new)
        return new

    def _rename_folder(self) -> None:
        name = self.random.choice(CLASSES)
        new = self.random.choice([name, f"{name}ty", f"{name}s"])
        (self.root / self.folders[name]).rename(self.root / new)
        self.folders[name] = new

    def _swap(self) -> None:
        one, other, spare = self._any(), self._any(), self._new()
        if one != other:
            self._move(one, spare)
            self._move(other, one)
            self._move(spare, other)

    def _copy(self) -> None:
        self.write(self._new(), (self.root / self._any()).read_bytes())

    def _delete(self, key: str | None = None) -> None:
        if len(self.files()) > 5:
            (self.root / (key or self._any())).unlink()

    def _edit(self) -> None:
        self.write(self._any(), self._picture())

    def _move_and_edit(self) -> None:
        self.write(self._rename(), self._picture())

    def _replace(self) -> None:
        old = self._any()
        self._move(old)
        self.write(old, self._picture())

    def _move_back(self) -> None:
        """Move a file to a place where another one may have been before."""
        old = self._any()
        if not (self.root / (new := f"{old.partition('/')[0]}/00.png")).exists():
            self._move(old, new)

    def _touch(self) -> None:
        key = self._any()
        self.write(key, (self.root / key).read_bytes())

    def _take_away(self) -> None:
        key = self._any()
        self.away[key] = (self.root / key).read_bytes()
        self._delete(key)

    def _bring_back(self) -> None:
        """Write a file that is away, perhaps with another content, to its old place."""
        for key, content in [*self.away.items()]:
            if (self.root / key).parent.exists():
                self.write(key, self.random.choice([content, self._picture()]))
                del self.away[key]


@dataclass
class Model:
    """The records of a dataset, and what the runs remember of renamed files."""

    records: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    copies: Counter[bytes] = field(default_factory=Counter)

    def run(self, files: dict[str, bytes], labels: dict[str, int]) -> dict[str, Any]:
        """Store the new files; return the expected report."""
        stored_as = {key: key for key in files if key in self.records}
        self._match(files, labels, stored_as, [key for key in self.records if key not in files])
        changed = [key for key in stored_as if stored_as[key] == key and self._differs(files, key)]
        self._match(files, labels, stored_as, changed)
        new = [key for key in files if key not in stored_as]
        found = {
            record: key
            for key, record in stored_as.items()
            if key != record or files[key] == self.records[record][0]
        }
        renamed = {key: old for key, old in stored_as.items() if key != old}
        expected: dict[str, Any] = {
            "changed": {
                key for key, old in stored_as.items() if files[key] != self.records[old][0]
            },
            "gone": self.records.keys() - set(stored_as.values()),
            "renamed": {*renamed.items()},
            "relabelled": {
                key for key, old in stored_as.items() if labels[key] != self.records[old][1]
            },
            "stored": len(new),
        }
        self.renamed = renamed | {
            key: old for key, old in self.renamed.items() if key not in files and old not in found
        }
        # The record gets the class of the source, unless it is the class of other content.
        for key in expected["relabelled"] - expected["changed"]:
            old = stored_as[key]
            self.records[old] = (self.records[old][0], labels[key])
        self.records |= {key: (files[key], labels[key]) for key in new}
        self.copies |= Counter(files.values())
        return expected

    def _differs(self, files: dict[str, bytes], key: str) -> bool:
        return files[key] != self.records[key][0]

    def _match(
        self,
        files: dict[str, bytes],
        labels: dict[str, int],
        stored_as: dict[str, str],
        records: list[str],
    ) -> None:
        """Match files without a record to these records."""
        free = sorted(records)

        def pair(is_equal: Any) -> None:
            for key in sorted(files.keys() - stored_as.keys()):
                found = [old for old in free if is_equal(key, old)]
                if found:
                    stored_as[key] = found[0]
                    free.remove(found[0])

        def has_content(key: str, old: str) -> bool:
            return files[key] == self.records[old][0]

        pair(lambda key, old: self.renamed.get(key) == old and has_content(key, old))
        pair(lambda key, old: has_content(key, old) and labels[key] == self.records[old][1])
        pair(has_content)
        pair(lambda key, old: self.renamed.get(key) == old)


def stored_in(output: Path) -> dict[str, tuple[bytes, int]]:
    dataset = open_dataset(output)
    records = [record for split in dataset.values() for record in split]
    assert len({record.key for record in records}) == len(records)
    return {record.key: (record.image, record.label) for record in records}


def splits_in(output: Path) -> dict[str, str]:
    dataset = open_dataset(output)
    return {record.key: split for split, records in dataset.items() for record in records}


def seeds(quick: int, slow: int) -> list[Any]:
    more = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(quick, slow)]
    return [*range(quick), *more]


@pytest.mark.parametrize("losing", [False, True], ids=["kept", "lost"])
@pytest.mark.parametrize("seed", seeds(2, 300))
def test_append_after_random_days_stores_and_reports_as_the_model(
    convert: Convert, tmp_path: Path, output: Path, seed: int, losing: bool
) -> None:
    random = Random(f"{seed} {losing}")
    source, model = Source(tmp_path / "days", random), Model()
    for number in range(16):
        source.write(f"{CLASSES[number % 2]}/{number:02d}.png", random.choice(PICTURES[:20]))
    splits: dict[str, str] = {}
    saved = Saved()
    for day in range(8):
        if losing and day and random.random() < 0.5:
            model.renamed = saved.lose(output, random)
        files = source.files()
        expected = model.run(files, {key: source.label_of(key) for key in files})
        options: dict[str, Any] = {
            "source": str(source.root), "test": 0.3, "append": True, "map": source.class_map(),
            "stratify": seed % 2 == 1,
        }  # fmt: skip
        gone = len(expected["gone"])
        if day:
            assert reported(convert(**options, max_gone=gone, dry_run=True)) == expected
        if gone:
            with pytest.raises(InputNotFoundError, match=f"got {gone}, the first: "):
                convert(**options, max_gone=gone - 1)
        assert reported(convert(**options, max_gone=gone)) == expected
        if not saved.is_readable(output):
            model.renamed.clear()
        saved.keep(output, model)
        assert stored_in(output) == model.records
        assert splits.items() <= splits_in(output).items()
        splits = splits_in(output)
        stored = Counter(content for content, _ in model.records.values())
        assert all(stored[content] <= model.copies[content] for content in stored)
        source.live()
    assert list(verify(output, decode=True)) == []


def reported(report: Report) -> dict[str, Any]:
    """Return the parts of a report that the model expects."""
    return {
        "changed": {*report.modified},
        "gone": {*report.deleted},
        "renamed": {(file.key, file.stored_key) for file in report.renamed},
        "relabelled": {*report.relabelled},
        "stored": report.counts.stored,
    }


@dataclass
class Saved:
    """The fingerprints after some run, to which an interrupted run would return."""

    content: bytes | None = None
    renamed: dict[str, str] = field(default_factory=dict)

    def keep(self, output: Path, model: Model) -> None:
        """Keep the fingerprints of one run in three."""
        path = output / layout.FINGERPRINTS
        if len(model.records) % 3 == 0 and path.exists() and self.is_readable(output):
            self.content, self.renamed = path.read_bytes(), {**model.renamed}

    def lose(self, output: Path, random: Random) -> dict[str, str]:
        """Remove or damage the fingerprints, or restore older ones; return the renamed files."""
        path = output / layout.FINGERPRINTS
        lose = random.choice(["remove", "damage", "restore"])
        if lose == "restore" and self.content is not None:
            path.write_bytes(self.content)
            return {**self.renamed}
        if lose == "damage" and path.exists():
            path.write_bytes(path.read_bytes()[:-9])  # no later run replaces the file
        else:
            path.unlink(missing_ok=True)
        return {}

    @staticmethod
    def is_readable(output: Path) -> bool:
        path = output / layout.FINGERPRINTS
        return not path.exists() or path.read_bytes().endswith(b"PAR1")
