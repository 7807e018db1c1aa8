"""Random sequences of runs that change a dataset, compared with a model."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest

from pipelines.compact import compact
from pipelines.edit import relabel, remove
from pipelines.prune import prune
from pipelines.repair import make_options, repair
from pipelines.report import Report
from pipelines.rollback import rollback
from records import Dataset, open_dataset, verify
from records.errors import UsageError
from records.format.edits import REMOVED
from records.format.layout import parse_shard_name
from records.format.manifest import read_manifest
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture

EVERY = pytest.param(range(1, 40), marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
STEPS = 9
NAMES = ("cat", "dog", "élan", "a long name of a class")
ORDER = (*NAMES, "fox", "gnu")

Names = tuple[str, ...]


class Expected(NamedTuple):
    """The expected record of a key; its classes are in label order."""

    image: bytes
    classes: Names
    split: str
    columns: dict[str, object]


class State(NamedTuple):
    """What a generation implies: its records, its removed keys, and its corrected classes."""

    records: dict[str, Expected]
    removed: set[str]
    replaced: dict[str, set[Names]]


class Model:
    """The expected records of a dataset, and the files and classes of its source."""

    def __init__(self, convert: Convert, folder: Path, chance: random.Random) -> None:
        self._convert, self._folder, self._chance = convert, folder, chance
        self._is_multi, self._has_columns, self._has_groups = (
            chance.random() < 0.5 for _ in range(3)
        )
        self._steps = 0
        self._source: dict[str, Names] = {}
        self._replaced: dict[str, set[Names]] = defaultdict(set)
        self.removed: set[str] = set()
        self.gone: set[str] = set()
        self._copies: dict[str, str] = {}
        self._states: dict[int, State] = {}
        self.dataset = folder / "data-0"
        for number in range(24):
            self._add_file(f"{number}.png", chance.randrange(10**9))
        self._run(test=0.3, shards=chance.randint(1, 4))
        self.records = read_records(open_dataset(self.dataset))

    def _add_file(self, key: str, seed: int) -> None:
        make_file(self._folder / "photos", key, make_picture(seed))
        self._source[key] = self._draw_classes(NAMES[:3])

    def _draw_classes(self, names: Names) -> Names:
        count = self._chance.randint(0, 3) if self._is_multi else 1
        return tuple(sorted(self._chance.sample(names, count), key=NAMES.index))

    def _columns_of(self, key: str) -> dict[str, object]:
        """Return the values of the kept columns of an image."""
        number = crc32(key.encode())
        return {"age": number % 90, "camera": f"c{number % 3}"} if self._has_columns else {}

    def _write_list(self) -> dict[str, Any]:
        """Write the list of the source; return the options that describe it."""
        columns = [*self._columns_of(""), *["group"] * self._has_groups]
        rows = [["path", "label", *columns]]
        for key, names in self._source.items():
            values = [*map(str, self._columns_of(key).values())]
            groups = [f"g{crc32(key.encode()) % 12}"] * self._has_groups
            rows.append([key, "|".join(names), *values, *groups])
        content = "\n".join(map(",".join, rows)).encode()
        options: dict[str, Any] = {"list": str(make_file(self._folder, "list.csv", content))}
        options |= {"label_separator": "|"} if self._is_multi else {}
        if self._has_columns:
            options |= {"target_column": "age", "keep_columns": ("camera",)}
        return options | ({"group_column": "group"} if self._has_groups else {})

    def _run(self, **options: object) -> Report:
        """Run a conversion of the source."""
        return self._convert(
            source=str(self._folder / "photos"),
            output=str(self.dataset),
            **self._write_list(),
            allow_new_classes="append" in options,
            **options,
        )

    def append(self) -> None:
        """Change the source, and append it."""
        self._steps += 1
        for number in range(self._chance.randint(0, 6)):
            self._add_file(f"{self._steps}-{number}.png", self._chance.randrange(10**9))
        self._copy_removed()
        for key in sorted(key for key in self.gone if self._chance.random() < 0.3):
            self._source[key] = self._draw_classes(NAMES[:3])
            self.gone.remove(key)
        for key in sorted(self.records.keys() & self._source.keys()):
            change = self._chance.random()
            if change < 0.1:
                self._source[key] = self._draw_classes(NAMES[:3])
            elif change > 0.9 and key not in self._copies.values():  # its copy would be renamed
                del self._source[key]
                self.gone.add(key)
        accept_gone = self._chance.random() < 0.5
        self._append(accept_gone=accept_gone)
        report = self._run(append=True, accept_gone=accept_gone, max_gone=1.0)
        assert (report.status, report.relabelled) == ("nothing-to-do", ())

    def rename_class(self) -> None:
        """Rename a class in the source, or merge it into another one, and append the source."""
        old = self._chance.choice(sorted({it for each in self.records.values() for it in each[1]}))
        new = self._chance.choice([name for name in ORDER if name != old])

        def rename(names: Names) -> Names:
            return tuple(sorted({new if it == old else it for it in names}, key=ORDER.index))

        self._source = {key: rename(names) for key, names in self._source.items()}
        for key, record in self.records.items():
            self.records[key] = record._replace(classes=rename(record.classes))
        for key, replaced in self._replaced.items():
            self._replaced[key] = {rename(names) for names in replaced}
        is_merged = new in open_dataset(self.dataset).labels
        report = self._append(accept_gone=False, rename_class={old: new})
        found = [(it.old, it.new, it.merged) for it in report.class_renamed]
        assert found == [(old, new, is_merged)]
        assert self._run(append=True, max_gone=1.0).status == "nothing-to-do"

    def _copy_removed(self) -> None:
        """Copy some files of removed images, which must not be added again."""
        for key in sorted(key for key in self.removed if self._chance.random() < 0.2):
            copy = f"copy-{self._steps}-{Path(key).name}"
            content = (self._folder / "photos" / key).read_bytes()
            make_file(self._folder / "photos", copy, content)
            self._source[copy] = ("cat",)
            self._copies[copy] = self._copies.get(key, key)
            self.removed.add(copy)

    def _append(self, *, accept_gone: bool, **options: object) -> Report:
        """Run an append, and update the records."""
        added = self._source.keys() - self.records.keys() - self.removed
        missing = self.records.keys() - self._source.keys()
        relabelled = {
            key
            for key, record in self.records.items()
            if key in self._source
            and self._source[key] not in {record.classes, *self._replaced[key]}
        }
        report = self._run(append=True, accept_gone=accept_gone, max_gone=1.0, **options)
        assert ({*report.relabelled}, {*report.deleted}) == (relabelled, missing)
        assert report.counts.stored == len(added) or report.status == "nothing-to-do"
        assert (report.corrected, report.removed) == (len(relabelled), len(missing) * accept_gone)
        for key in relabelled:
            self.records[key] = self.records[key]._replace(classes=self._source[key])
            self._replaced[key].clear()
        for key in missing if accept_gone else ():
            del self.records[key]
            self._replaced[key].clear()
        found = read_records(open_dataset(self.dataset))
        assert found.keys() - self.records.keys() == added
        for key in added:
            assert found[key].classes == self._source[key]
            assert found[key].columns == self._columns_of(key)
        self.records |= {key: found[key] for key in added}
        return report

    def remove_keys(self) -> None:
        """Remove some records, and some that were removed before."""
        chosen = self._chance.sample(sorted(self.records), self._chance.randint(1, 4))
        listed = sorted(key for key in self.removed if not key.startswith("copy"))
        again = self._chance.sample(listed, min(len(listed), 2))
        storage = open_storage(self.dataset)
        entries = REMOVED.read_all(storage, read_manifest(storage))
        gone = {it.key for it in entries if it.deleted} - self.records.keys() - self.removed
        kept_out = self._chance.sample(sorted(gone), min(len(gone), 2))
        report = remove(str(self.dataset), keys=[*chosen, *again, *kept_out])
        before = len(again) + len(kept_out)
        assert (report.removed, report.removed_before) == (len(chosen), before)
        assert report.kept_out == len(kept_out)
        self.removed |= {*kept_out}
        self._forget(chosen)

    def remove_where(self) -> None:
        """Remove the records of a class whose key contains a digit, or all of the class."""
        name = self._chance.choice(sorted({*NAMES} & {*open_dataset(self.dataset).labels}))
        part = self._chance.choice((*"0123456789", ""))
        where = f"class == {name!r} and {part!r} in key"
        found = self.records.items()
        chosen = [key for key, record in found if name in record.classes and part in key]
        if len(chosen) == len(self.records):
            with pytest.raises(UsageError):
                remove(str(self.dataset), where=where)
            return
        assert remove(str(self.dataset), where=where).removed == len(chosen)
        self._forget(chosen)

    def _forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self.records[key]
            self.removed.add(key)
            self.gone.discard(key)
        self._remove_copies()

    def _remove_copies(self) -> None:
        """Count files with the bytes of a removed image as removed, if they have no record."""
        found = {copy for copy, original in self._copies.items() if original in self.removed}
        self.removed |= found - self.records.keys()

    def relabel(self) -> None:
        """Give some records other classes, or the same."""
        chosen = self._chance.sample(sorted(self.records), self._chance.randint(1, 4))
        new = {key: self._draw_classes(NAMES) for key in chosen}
        changed = {key for key in chosen if new[key] != self.records[key].classes}
        report = relabel(str(self.dataset), new, allow_new_classes=True)
        assert {*report.relabelled_keys} == changed
        for key in changed:
            self._replaced[key].add(self.records[key].classes)
            self.records[key] = self.records[key]._replace(classes=new[key])

    def compact(self) -> None:
        """Compact into a new folder, which has no byte of a removed image."""
        self._steps += 1
        new = self._folder / f"data-{self._steps}"
        compact(str(self.dataset), str(new))
        self.dataset = new
        self._states.clear()
        self._check_erased()

    def compact_in_place(self) -> None:
        """Write all records as one generation, with the shards that a new dataset would have."""
        self._steps += 1
        new = self._folder / f"new-{self._steps}"
        compact(str(self.dataset), str(new))
        report = compact(str(self.dataset), in_place=True)
        assert report.status == "nothing-to-do" or report.counts.stored == len(self.records)
        assert read_shards(self.dataset) == read_shards(new)
        assert compact(str(self.dataset), in_place=True).status == "nothing-to-do"

    def prune(self) -> None:
        """Remove all earlier generations, and so every byte of a removed image."""
        prune(str(self.dataset), older_than="0")
        self._states.clear()
        self._check_erased()

    def _check_erased(self) -> None:
        content = b"".join(content_of(self.dataset).values())
        lost = self.removed | self.gone - self.records.keys()
        images = {(self._folder / "photos" / key).read_bytes() for key in lost}
        images -= {record.image for record in self.records.values()}  # of copies
        assert not any(image in content for image in images)

    def rollback(self) -> None:
        """Return to an earlier generation: its edits count again, and no later ones."""
        if not self._states:
            return
        number = self._chance.choice(sorted(self._states))
        rollback(str(self.dataset), to=number)
        self.records, self.removed, self._replaced = deepcopy(self._states[number])
        self._remove_copies()
        for key in sorted(self.records.keys() & {*self._copies.values()} - self._source.keys()):
            self._source[key] = self._draw_classes(NAMES[:3])

    def repair(self) -> None:
        """Damage a file, and make it again, from other generations and from the source."""
        before = content_of(self.dataset)
        kinds = (".tfrecord", ".parquet", ".jsonl")
        name = self._chance.choice(sorted(it for it in before if it.endswith(kinds) and before[it]))
        content, at = before[name], self._chance.randrange(len(before[name]))
        damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        (self.dataset / name).write_bytes(damaged)
        given = self._write_list()
        report = repair(make_options(str(self.dataset), str(self._folder / "photos"), given))
        lost = {key for file in report.files for key in file.missing_keys}
        assert lost.isdisjoint(self._source)
        if report.status == "incomplete":
            assert lost or not name.endswith(".tfrecord")
            (self.dataset / name).write_bytes(content)
        assert content_of(self.dataset) == before, report

    def check(self, *, decode: bool) -> None:
        """Compare the dataset with the model."""
        dataset = open_dataset(self.dataset)
        assert read_records(dataset) == self.records
        assert list(verify(self.dataset, decode=decode)) == []
        for split in dataset.values():
            assert [record.key for record in split] == [record.key for record in split[:]]
            names = [parse_shard_name(shard.name) for shard in split.info.shards]
            assert all(name is not None and name.split == split.name for name in names)
        manifest = read_manifest(open_storage(self.dataset))
        state = State(self.records, self.removed, self._replaced)
        self._states[manifest.generations[-1].number] = deepcopy(state)
        stored = sum(each.counts.stored - each.removed for each in manifest.generations)
        assert stored == len(self.records)


def read_records(dataset: Dataset) -> dict[str, Expected]:
    records = [(name, record) for name, split in dataset.items() for record in split]
    assert len({record.key for _, record in records}) == len(records)
    return {
        record.key: Expected(
            record.image,
            tuple(sorted(record.class_names, key=ORDER.index)),
            name,
            dict(record.columns),
        )
        for name, record in records
    }


def read_shards(dataset: Path) -> dict[str, bytes]:
    """Return the content of each shard by its name, without the folder of its generation."""
    files = [Path(file) for file in open_dataset(dataset).files()]
    found = {file.name: file.read_bytes() for file in files}
    assert len(found) == len(files)
    return found


@pytest.mark.parametrize("seeds", [range(1), EVERY])
def test_random_edits_leave_the_records_of_the_model(
    convert: Convert, tmp_path: Path, seeds: range
) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        model = Model(convert, tmp_path / f"{seed}", chance)
        acts = (model.append, model.remove_keys, model.remove_where, model.relabel)
        for _ in range(STEPS):
            rare = (
                *(model.compact, model.compact_in_place, model.prune, model.rollback),
                *(model.rollback, model.rename_class, model.rename_class, model.repair),
            )
            act = chance.choice(rare if chance.random() < 0.4 else acts)
            act()
            model.check(decode=chance.random() < 0.3)
        model.compact()
        model.check(decode=True)
