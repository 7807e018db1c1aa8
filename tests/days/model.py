"""A model of a dataset after each command."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.days.source import is_whole


class Stored(NamedTuple):
    """A record: the bytes of its image, its class, and its split; no split before it is seen."""

    content: bytes
    class_name: str
    split: str | None


@dataclass
class State:
    """What a generation implies for later runs.

    Attributes:
        records: the records by key.
        removed: the content of each removed record, whose file is not added again.
        replaced: the classes of each record that `relabel` has replaced.
        rejected: the content of each rejected file.
        names: the name in the dataset of each class of the source, which has a number.
        renames: the new names of classes that each run with renames has given, the oldest first.
        described: the name that the description of the dataset has.
    """

    records: dict[str, Stored] = field(default_factory=dict)
    removed: dict[str, bytes] = field(default_factory=dict)
    replaced: dict[str, set[str]] = field(default_factory=dict)
    rejected: dict[str, bytes] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    renames: list[dict[str, str]] = field(default_factory=list)
    described: str | None = None

    @property
    def classes(self) -> list[str]:
        """The classes that have records."""
        return sorted({record.class_name for record in self.records.values()})

    @property
    def contents(self) -> set[bytes]:
        """The images of all records."""
        return {record.content for record in self.records.values()}


class Run(NamedTuple):
    """A run of `convert --append`.

    Attributes:
        files: the content of each file of the source.
        classes: the class of each file.
        names: the name in the dataset of each class of the source.
        renames: the new names of classes of the dataset; each has an effect.
        accept_gone: whether records without a file are removed.
        described: the name in the new description; None if there is none.
    """

    files: Mapping[str, bytes]
    classes: Mapping[str, str]
    names: Mapping[int, str]
    renames: Mapping[str, str]
    accept_gone: bool
    described: str | None


class Changes(NamedTuple):
    """The keys that an incremental run stores, rejects, removes and relabels."""

    stored: set[str]
    rejected: set[str]
    removed: set[str]
    relabelled: set[str]


class Model:
    """The expected state of a dataset, and the splits that records have ever had.

    Attributes:
        state: the state of the present generation.
        renamed: the stored key of each renamed file that earlier runs have recognised.
        generations: the states of the generations that can be read.
        stored: the images of all records that the dataset has ever had.
    """

    def __init__(self) -> None:
        self.state = State()
        self.renamed: dict[str, str] = {}
        self.generations: dict[int, State] = {}
        self.stored: set[bytes] = set()
        self._splits: dict[str, str] = {}

    def append(self, run: Run) -> Changes:
        """Apply a run of `convert --append`."""
        self._rename_classes(run)
        files, classes = run.files, run.classes
        state, records = self.state, self.state.records
        stored_as = self._find_records(files, classes)
        new = {
            key
            for key, content in files.items()
            if key not in stored_as and state.rejected.get(key) != content
        }
        kept_out = {*state.removed.values()}
        new = {key for key in new if key not in state.removed and files[key] not in kept_out}
        whole = {key for key in new if is_whole(files[key])}
        gone = records.keys() - {*stored_as.values()}
        relabelled = {
            old: classes[key]
            for key, old in stored_as.items()
            if files[key] == records[old].content
            and classes[key] != records[old].class_name
            and classes[key] not in state.replaced.get(old, ())
        }
        self._remember(files, stored_as)
        for key, name in relabelled.items():
            records[key] = records[key]._replace(class_name=name)
            state.replaced.pop(key, None)
        if run.accept_gone:
            for key in gone:
                del records[key]
                state.replaced.pop(key, None)
        for key in new - whole:
            state.rejected[key] = files[key]
        for key in whole:
            state.rejected.pop(key, None)
            records[key] = Stored(files[key], classes[key], self._splits.get(key))
        return Changes(whole, new - whole, gone if run.accept_gone else set(), {*relabelled})

    def _rename_classes(self, run: Run) -> None:
        """Give classes of the dataset their new names, also in the memory of corrections."""
        state = self.state

        def rename(name: str) -> str:
            return run.renames.get(name, name)

        for key, record in state.records.items():
            state.records[key] = record._replace(class_name=rename(record.class_name))
        state.replaced = {key: {*map(rename, names)} for key, names in state.replaced.items()}
        state.names = {number: rename(name) for number, name in state.names.items()}
        state.names |= run.names
        state.renames += [dict(run.renames)] if run.renames else []
        state.described = run.described or state.described

    def _find_records(
        self, files: Mapping[str, bytes], classes: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the key of the record of each file that has one."""
        records = self.state.records
        stored_as = {key: key for key in files if key in records}

        def match(free: list[str]) -> None:
            def pair(is_equal: Callable[[str, str], bool]) -> None:
                for key in sorted(files.keys() - stored_as.keys(), key=str.encode):
                    found = next((old for old in free if is_equal(key, old)), None)
                    if found is not None:
                        stored_as[key] = found
                        free.remove(found)

            def has_content(key: str, old: str) -> bool:
                return files[key] == records[old].content

            def is_saved(key: str, old: str) -> bool:
                return self.renamed.get(key) == old

            def has_class(key: str, old: str) -> bool:
                return classes[key] == records[old].class_name

            pair(lambda key, old: is_saved(key, old) and has_content(key, old))
            pair(lambda key, old: has_content(key, old) and has_class(key, old))
            pair(has_content)
            pair(is_saved)

        in_order = sorted(records, key=str.encode)
        match([key for key in in_order if key not in files])
        match([key for key in in_order if key in files and files[key] != records[key].content])
        return stored_as

    def _remember(self, files: Mapping[str, bytes], stored_as: Mapping[str, str]) -> None:
        """Keep the stored keys of renamed files, also of those that are not listed now."""
        records = self.state.records
        found = {
            old
            for key, old in stored_as.items()
            if key != old or files[key] == records[old].content
        }
        unlisted = {
            key: old
            for key, old in self.renamed.items()
            if key not in files and old in records and old not in found
        }
        self.renamed = unlisted | {key: old for key, old in stored_as.items() if key != old}

    def remove(self, keys: Collection[str]) -> None:
        """Apply `remove`."""
        for key in keys:
            self.state.removed[key] = self.state.records.pop(key).content
            self.state.replaced.pop(key, None)

    def relabel(self, classes: Mapping[str, str]) -> None:
        """Apply `relabel`."""
        for key, name in classes.items():
            record = self.state.records[key]
            if name != record.class_name:
                self.state.replaced.setdefault(key, set()).add(record.class_name)
                self.state.records[key] = record._replace(class_name=name)

    def compact(self) -> None:
        """Apply `compact` into a new dataset, which has one generation.

        The new dataset knows only the splits of its records. With `--stratify`, an image that comes
        back into another class can get another split.
        """
        self._splits = {key: self._splits[key] for key in self.state.records}
        self.state.renames = []
        self.generations.clear()

    def rollback(self, number: int, renamed: dict[str, str]) -> None:
        """Apply `rollback`, after which the dataset has saved these stored keys."""
        self.state = deepcopy(self.generations[number])
        of_records = {key: old for key, old in renamed.items() if old in self.state.records}
        assert of_records.items() <= self.renamed.items()
        self.renamed = of_records

    def check(self, found: Mapping[str, Stored], number: int) -> None:
        """Compare the records of the present generation, and save its state."""
        expected = self.state.records
        for key in expected.keys() & found.keys():
            first = self._splits.setdefault(key, str(found[key].split))
            assert found[key].split == first, f"{key} was in {first}, is in {found[key].split}"
            expected[key] = expected[key]._replace(split=first)
        assert_equal(found, expected)
        self.generations[number] = deepcopy(self.state)
        self.stored |= self.state.contents


def assert_equal(found: Mapping[str, Stored], expected: Mapping[str, Stored]) -> None:
    """Compare records, and name the first that differ."""
    if found != expected:
        keys = sorted(found.keys() | expected.keys())
        differing = [key for key in keys if found.get(key) != expected.get(key)]
        shown = [(key, _show(found.get(key)), _show(expected.get(key))) for key in differing[:5]]
        raise AssertionError(f"{len(differing)} records differ (found, expected): {shown}")


def _show(record: Stored | None) -> object:
    return record and (hash(record.content), record.class_name, record.split)
