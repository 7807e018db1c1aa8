"""Files of the user in an output, with the names of dataset files, at any moment of a run."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pipelines.clean import clean
from pipelines.compact import compact
from records.errors import OutputError, ShardmillError
from records.format import layout
from records.format.layout import index_name
from records.format.manifest import file_names, read_manifest
from records.storage import Storage, open_storage
from records.storage.fsspec import FsspecStorage
from records.storage.local import LocalStorage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import (
    CORRUPT,
    is_of_dataset,
    make_file,
    make_folders,
    make_picture,
)

MANY = pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
EVERY = pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
OPTIONS: dict[str, Any] = {"test": 1, "shards": 2, "max_rejects": 5, "workers": 1}
SHARD = layout.shard_name("train", 0, 2)
MINE = b"a file of the user"


class KilledError(Exception):
    """The process is dead: nothing reaches the storage after it, not even cleanup."""


class Kills:
    """Counter of the changes of local folders and of memory; from a chosen one on, all fail."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.changes = 0
        self._at: int | None = None
        self._counting = False
        for kind in (LocalStorage, FsspecStorage):
            for name in ("replace", "remove", "remove_folder", "compare_and_swap"):
                patch.setattr(kind, name, self._wrap(getattr(kind, name)))
            for name in ("create", "overwrite"):
                patch.setattr(kind, name, self._wrap_create(getattr(kind, name)))

    @contextmanager
    def at(self, number: int | None) -> Iterator[None]:
        """Kill the run before this change; count all changes if it is None."""
        self.changes, self._at, self._counting = 0, number, True
        try:
            yield
        finally:
            self._counting = False

    def _count(self, name: str) -> None:
        # The lease of a dead process expires after a minute; here it is released.
        if self._counting and name != layout.LEASE:
            self.changes += 1
            if self._at is not None and self.changes >= self._at:
                raise KilledError

    def _wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(storage: Storage, name: str, *given: Any) -> Any:
            self._count(name)
            return real(storage, name, *given)

        return call

    def _wrap_create(self, real: Callable[..., Any]) -> Callable[..., AbstractContextManager[Any]]:
        @contextmanager
        def create(storage: Storage, name: str) -> Iterator[Any]:
            with real(storage, name) as staged:
                yield staged
                self._count(name)

        return create


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a source with a few pictures, of which one is corrupt."""
    folder = make_folders(tmp_path / "source", cat=3, dog=2)
    make_file(folder, "dog/bad.png", CORRUPT)
    return folder


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Kills:
    return Kills(monkeypatch)


class Run:
    """A command that writes to an output, and what the output contains before it.

    Attributes:
        name: the command, `convert`, `append`, `append-class` (with a new class) or `compact`.
    """

    def __init__(self, name: str, place: str, convert: Convert, source: Path) -> None:
        self.name, self._place, self._convert = name, place, convert
        self._base = f"{place}-base"
        convert(**OPTIONS, output=self._base)
        make_file(source, "cat/new.png", make_picture(900))
        make_file(source, "dog/worse.png", CORRUPT)
        if name == "append-class":
            make_file(source, "emu/new.png", make_picture(901))
        self._base_files = read_all(open_storage(self._base))

    def prepare(self, number: object) -> str:
        """Return the output of a new run."""
        output = f"{self._place}-{number}"
        if self.name.startswith("append"):
            for name, content in self._base_files.items():
                open_storage(output).replace(name, content)
        return output

    def run(self, output: str) -> None:
        """Run the command, or run it again."""
        if self.name == "compact":
            compact(self._base, output)
            return
        is_append = self.name.startswith("append")
        self._convert(**OPTIONS, output=output, append=is_append, allow_new_classes=is_append)


def read_all(storage: Storage) -> dict[str, bytes]:
    """Return all files by name, except those that depend on the run."""
    return {name: storage.read(name) for name in storage.list() if is_of_dataset(name)}


def names_of(output: Storage) -> list[str]:
    """Return the names of the files that the last run into an output has written."""
    manifest = read_manifest(output)
    names = file_names(manifest) & set(output.list())
    if len(manifest.generations) == 1:
        return sorted(names)
    own = {layout.REPORT, layout.CROISSANT}
    if "emu" in manifest.labels:
        own |= {layout.LABELS, layout.TFDS_INFO, layout.TFDS_FEATURES}
    return sorted(name for name in names if name in own or name.startswith("generations/"))


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, memory: Any) -> str:
    return str(tmp_path / "run") if request.param == "local" else "memory://run"


@pytest.fixture(params=["convert", "append", "append-class", "compact"])
def run(
    request: pytest.FixtureRequest, place: str, convert: Convert, source: Path, memory: Any
) -> Run:
    return Run(request.param, place, convert, source)


def count_changes(kills: Kills, run: Run) -> tuple[int, dict[str, bytes], list[str]]:
    """Return the number of changes of a whole run, and the content and names of its files."""
    output = run.prepare("whole")
    with kills.at(None):
        run.run(output)
    storage = open_storage(output)
    return kills.changes, read_all(storage), names_of(storage)


def choose(changes: int, names: list[str], pairs: int, seed: str) -> list[tuple[int, str]]:
    """Return pairs of a number of a change and the name of a file."""
    every = list(product(range(1, changes + 1), names))
    return random.Random(seed).sample(every, min(pairs, len(every)))


@pytest.mark.parametrize("step", [9, EVERY])
def test_run_killed_before_any_change_then_rerun_gives_same_bytes(
    run: Run, kills: Kills, step: int
) -> None:
    changes, expected, _ = count_changes(kills, run)
    for number in range(1, changes + 1, step):
        storage = open_storage(run.prepare(number))
        with kills.at(number), pytest.raises(KilledError):
            run.run(storage.url)
        run.run(storage.url)
        assert read_all(storage) == expected, number


@pytest.mark.parametrize("pairs", [5, MANY])
@pytest.mark.parametrize("content", [MINE, pytest.param(b"", marks=pytest.mark.slow)])
def test_file_of_user_added_after_kill_is_kept_and_refused_by_name(
    run: Run, kills: Kills, content: bytes, pairs: int
) -> None:
    changes, expected, names = count_changes(kills, run)
    for case, (number, name) in enumerate(choose(changes, names, pairs, run.name)):
        storage = open_storage(run.prepare(case))
        with kills.at(number), pytest.raises(KilledError):
            run.run(storage.url)
        is_published = read_all(storage).get(layout.MANIFEST) == expected[layout.MANIFEST]
        storage.replace(name, content)
        if is_published or expected.get(name) == content:
            with suppress(ShardmillError):  # a finished dataset is damaged now
                run.run(storage.url)
            assert storage.read(name) == content, (number, name)
            continue
        with pytest.raises(OutputError) as caught:
            run.run(storage.url)
        assert caught.value.exit_code == 73
        assert storage.display_name(name) in str(caught.value), (number, name)
        assert storage.read(name) == content, (number, name)
        storage.remove(name)
        run.run(storage.url)
        assert read_all(storage) == expected, (number, name)


@pytest.mark.parametrize("pairs", [5, MANY])
def test_clean_after_kill_keeps_file_of_user_with_note_and_removes_all_others(
    run: Run, kills: Kills, pairs: int, logged: pytest.LogCaptureFixture
) -> None:
    changes, expected, names = count_changes(kills, run)
    for case, (number, name) in enumerate(choose(changes, names, pairs, run.name)):
        storage = open_storage(run.prepare(case))
        before = read_all(storage)
        with kills.at(number), pytest.raises(KilledError):
            run.run(storage.url)
        is_published = read_all(storage).get(layout.MANIFEST) == expected[layout.MANIFEST]
        storage.replace(name, MINE)
        logged.clear()
        if any(each.startswith(layout.WORK_FOLDER) for each in storage.list()):
            clean(storage.url)
            is_of_base = name in before or (name == layout.REPORT and layout.MANIFEST in before)
            is_noted = f"{storage.display_name(name)}: kept" in logged.text
            assert is_noted != (is_published or is_of_base), (number, name)
        assert storage.read(name) == MINE
        if not is_published:
            assert read_all(storage) | {name: MINE} == before | {name: MINE}, (number, name)


EDIT_LISTS = {layout.REMOVED, layout.RELABELLED}
"""The files that a conversion does not write."""
KINDS: dict[str, Callable[[Path, Path], object]] = {
    "folder": lambda path, _: path.mkdir(),
    "full folder": lambda path, _: make_file(path, "mine.txt", MINE),
    "link to file": lambda path, target: path.symlink_to(target),
    "dangling link": lambda path, target: path.symlink_to(target.with_name("missing")),
    "pipe": lambda path, _: os.mkfifo(path),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", [*sorted({*layout.SIDE_FILES} - EDIT_LISTS), SHARD, index_name(SHARD), "index"]
)
def test_other_kinds_of_files_are_kept_and_refused_by_name(
    convert: Convert, output: Path, kills: Kills, kind: str, name: str
) -> None:
    with kills.at(4), pytest.raises(KilledError):
        convert(**OPTIONS)
    path, target = output / name, make_file(output.parent, "elsewhere.txt", MINE)
    path.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind](path, target)
    before = os.lstat(path)
    if name == "index" and path.is_dir():
        assert convert(**OPTIONS).status == "converted"
    else:
        with pytest.raises(OutputError, match=path.name):
            convert(**OPTIONS)
        clean(str(output))
    assert os.path.samestat(os.lstat(path), before)
    assert target.read_bytes() == MINE
