"""Days in which a source changes, and commands update its dataset."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any, NamedTuple

from pipelines.fingerprints import read_fingerprints
from records import open_dataset, verify
from records.format.manifest import read_manifest
from records.storage import open_storage
from tests.days.commands import Commands, Ended
from tests.days.model import Model, Stored, assert_equal
from tests.days.readers import count_index_rows, count_with_all_readers
from tests.days.source import Source

_log = logging.getLogger(__name__)

DAYS_PER_COUNT = 25
_KILLED = 1 / 3
_MOST_KILLS = 3
_BUSY, _NO_INPUT = 75, 66
_LONGEST_SECONDS = 120.0


class Store(NamedTuple):
    """The place of the datasets.

    Attributes:
        url: a path or a URL, to which the name of a dataset is appended.
        go_away: takes the store away for this many seconds; None for a local folder.
        erase: removes a dataset.
    """

    url: str
    go_away: Callable[[float], None] | None
    erase: Callable[[str], None]


class Days:
    """A dataset, its source, and its model.

    Attributes:
        counts: the numbers of commands, kills, outages and others so far.
    """

    def __init__(
        self, source: Source, store: Store, commands: Commands, folder: Path, chance: Random
    ) -> None:
        self._source, self._store, self._commands = source, store, commands
        self._folder, self._chance = folder, chance
        self._model = Model()
        self._number = 0
        self._dataset = f"{store.url}/data-0"
        self._is_stratified = chance.random() < 0.3
        self._seconds: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        self._append(accept_gone=False)

    def pass_day(self) -> None:
        """Change the source, perhaps edit the dataset, and append the changes."""
        self._number += 1
        _log.info("day %d: %s", self._number, dict(self.counts))
        self._source.live()
        edits = [self._remove, self._remove_where, self._relabel, self._roll_back]
        if self._chance.random() < 0.4:
            self._chance.choice([*edits, self._compact, self._prune])()
        is_done = self._append(accept_gone=self._chance.random() < 0.4)
        if is_done and self._chance.random() < 0.2:
            self._append_nothing()
        if self._number % DAYS_PER_COUNT == 0:
            self.count_with_all_readers()

    def count_with_all_readers(self) -> None:
        """Compare the counts of all readers, and decode all records."""
        found = count_with_all_readers(self._dataset)
        splits = Counter(str(record.split) for record in self._model.state.records.values())
        assert all(counts == dict(splits) for counts in found.values()), (found, splits)
        assert list(verify(self._dataset, decode=True)) == []
        self.counts["counts by all readers"] += 1

    # Commands

    def _append(self, *, accept_gone: bool) -> bool:
        """Append the source; return whether the run was not killed."""
        options = ["--quiet", "--append", "--test", "0.3", "--max-gone", "1.0"]
        options += ["--allow-new-classes", "--max-rejects", "1000"]
        options += ["--stratify"] * self._is_stratified + ["--accept-gone"] * accept_gone
        options += ["--processes", "2"] * (self._chance.random() < 0.03)
        arguments = [self._source.place.url, self._dataset, *options, *self._source.map_options()]
        files = dict(self._source.files)
        classes = {key: self._source.class_of(key) for key in files}
        before = len(self._model.state.records)

        def apply() -> None:
            changes = self._model.append(files, classes, accept_gone=accept_gone)
            expected.update(
                stored=len(changes.stored),
                rejected=len(changes.rejected),
                removed=len(changes.removed),
                corrected=len(changes.relabelled),
            )

        expected: dict[str, int] = {}
        ended = self._run("convert", arguments, apply)
        self._check_renamed()
        if ended is None:
            return False
        report = json.loads(ended.output)
        counts = report["counts"]
        parts = ("stored", "rejected", "skipped", "excluded", "known")
        assert counts["found"] == sum(counts[part] for part in parts) == len(files)
        found = {name: counts[name] for name in ("stored", "rejected")}
        found |= {name: report[name] for name in ("removed", "corrected")}
        if report["status"] != "nothing-to-do":
            assert found == expected, (found, expected, report)
        self.counts["records added"] += max(0, len(self._model.state.records) - before)
        return True

    def _append_nothing(self) -> None:
        """Append the same source again, which must change nothing."""
        before = open_storage(self._dataset).read("dataset.json")
        self._append(accept_gone=False)
        assert open_storage(self._dataset).read("dataset.json") == before

    def _remove(self) -> None:
        chosen = self._choose_records(3)
        keys = self._write("keys.txt", "".join(f"{key}\n" for key in chosen))
        self._run("remove", [self._dataset, "--keys", keys], lambda: self._model.remove(chosen))

    def _remove_where(self) -> None:
        name, digit = self._chance.choice(["cat", "dog"]), self._chance.randrange(10)
        part = f"{self._chance.randrange(6)}{digit}"
        records = self._model.state.records
        chosen = [
            key
            for key, record in records.items()
            if record.class_name == name and part in key
        ]  # fmt: skip
        where = f"class == {name!r} and {part!r} in key"
        is_class = any(record.class_name == name for record in records.values())
        if is_class and len(chosen) < len(records):
            arguments = [self._dataset, "--where", where]
            self._run("remove", arguments, lambda: self._model.remove(chosen))

    def _relabel(self) -> None:
        classes = sorted({record.class_name for record in self._model.state.records.values()})
        new = {key: self._chance.choice(classes) for key in self._choose_records(4)}
        rows = "".join(f'"{key}",{name}\n' for key, name in new.items())
        file = self._write("corrected.csv", f"key,class\n{rows}")
        self._run("relabel", [self._dataset, file], lambda: self._model.relabel(new))

    def _roll_back(self) -> None:
        numbers = sorted(self._model.generations)[-8:-1]
        if not numbers:
            return
        number, before = self._chance.choice(numbers), self._read_number()

        def apply() -> None:
            if self._read_number() != before:  # otherwise, it has the same records
                self._model.rollback(number, self._read_renamed())

        self._run("rollback", [self._dataset, "--to", str(number)], apply)

    def _prune(self) -> None:
        self._model.generations.clear()  # if the run is killed, some may be incomplete
        self._run("prune", [self._dataset, "--older-than", "0"], lambda: None)
        self._check_erased()

    def _compact(self) -> None:
        old, new = self._dataset, f"{self._store.url}/data-{self._number}"
        self._dataset = new
        self._run("compact", [old, new], self._model.compact, is_repeated=True)
        self._store.erase(old)
        self._check_erased()

    def _choose_records(self, most: int) -> list[str]:
        return self._chance.sample(sorted(self._model.state.records), self._chance.randint(1, most))

    def _write(self, name: str, text: str) -> str:
        path = self._folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    # Runs and their faults

    def _run(
        self,
        command: str,
        arguments: list[str],
        apply: Callable[[], None],
        *,
        is_repeated: bool = False,
    ) -> Ended | None:
        """Run a command, perhaps killed and repeated, and compare the dataset with the model.

        One killed run in five is not repeated, unless `is_repeated` is set. Then, the dataset has
        either the generation of the run or the one before it.

        Returns:
            the result of the last run, None if it was killed.
        """
        words = [command, *arguments, "--json"]
        kills = self._chance.randint(1, _MOST_KILLS) if self._chance.random() < _KILLED else 0
        before = self._read_number()
        was_killed = False
        for _ in range(kills):
            was_killed = self._kill(command, words) or was_killed
        if was_killed and not is_repeated and self._chance.random() < 0.2:
            self.counts["killed and not repeated"] += 1
            self._forget_run(apply, before)
            return None
        ended = self._finish(command, words)
        apply()
        self._check()
        return ended

    def _forget_run(self, apply: Callable[[], None], before: int) -> None:
        if self._chance.random() < 0.3:
            ended = self._repeat(["clean", self._dataset])
            assert ended.status in {0, _NO_INPUT}, ended
        if self._read_number() != before:
            apply()
        if before:
            self._model.renamed = self._read_renamed()
            self._check()
        else:
            self._append(accept_gone=False)

    def _kill(self, command: str, words: list[str]) -> bool:
        """Run a command, and kill it at a random moment; return whether it was alive."""
        seconds = self._chance.uniform(0, 1.1 * self._seconds.get(command, 1.0))
        number = signal.SIGKILL if self._chance.random() < 0.8 else signal.SIGTERM
        ended = self._commands.run(*words, kill_after=seconds, kill_signal=number)
        assert ended.status in {0, _BUSY, -number, 128 + number}, (words, ended)
        was_killed = ended.status not in {0, _BUSY}
        self.counts[f"{command} killed"] += was_killed
        return was_killed

    def _finish(self, command: str, words: list[str]) -> Ended:
        """Run a command until it ends with 0; the store may go away in the meantime."""
        with self._outage():
            ended = self._repeat(words)
        assert ended.status == 0, (words, ended)
        self._seconds[command] = ended.seconds
        self.counts[command] += 1
        return ended

    def _repeat(self, words: list[str]) -> Ended:
        """Run a command, and repeat it while the lease of a killed run has not expired."""
        until = time.monotonic() + _LONGEST_SECONDS
        while (ended := self._commands.run(*words)).status == _BUSY:
            assert self._store.go_away is not None, (words, ended)
            assert time.monotonic() < until, (words, ended)
            time.sleep(0.3)
        return ended

    @contextmanager
    def _outage(self) -> Iterator[None]:
        """Take the store away for some seconds, in one run of ten."""
        go_away = self._store.go_away
        if go_away is None or self._chance.random() > 0.1:
            yield
            return
        wait, seconds = self._chance.uniform(0, 1.5), self._chance.uniform(0.5, 4)

        def lose() -> None:
            time.sleep(wait)
            go_away(seconds)

        thread = Thread(target=lose)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            self.counts["outages"] += 1

    # Checks

    def _check(self) -> None:
        """Compare the dataset with the model, and one earlier generation with its state."""
        self._model.check(_read_records(self._dataset), self._read_number())
        splits = Counter(str(record.split) for record in self._model.state.records.values())
        assert count_index_rows(self._dataset) == dict(splits)
        if self._chance.random() < 0.3:
            assert list(verify(self._dataset)) == []
        earlier = sorted(self._model.generations)[:-1]
        if earlier and self._chance.random() < 0.3:
            number = self._chance.choice(earlier)
            expected = self._model.generations[number].records
            assert_equal(_read_records(f"{self._dataset}@{number}"), expected)
            self.counts["earlier generations read"] += 1

    def _check_renamed(self) -> None:
        records = self._model.state.records
        expected = {key: old for key, old in self._model.renamed.items() if old in records}
        found = {key: old for key, old in self._read_renamed().items() if old in records}
        assert found == expected

    def _check_erased(self) -> None:
        """Check that no file contains the image of a record that is not in the dataset."""
        state = self._model.state
        erased = {*state.removed.values()} - {each.content for each in state.records.values()}
        storage = open_storage(self._dataset)
        for name in storage.list():
            content = storage.read(name)
            assert not [image for image in erased if image in content], name

    def _read_number(self) -> int:
        """Return the number of the present generation; 0 without a dataset."""
        storage = open_storage(self._dataset)
        if storage.stat("dataset.json") is None:
            return 0
        return read_manifest(storage).generations[-1].number

    def _read_renamed(self) -> dict[str, str]:
        """Return the stored keys that the dataset has saved."""
        rows: list[dict[str, Any]] = read_fingerprints(open_storage(self._dataset)).to_pylist()
        return {
            row["key"].decode(): row["stored_key"].decode()
            for row in rows
            if row["stored_key"] is not None
        }


def _read_records(dataset: str) -> dict[str, Stored]:
    found = [(name, each) for name, split in open_dataset(dataset).items() for each in split]
    records = {each.key: Stored(each.image, each.class_name, name) for name, each in found}
    assert len(records) == len(found), "two records have one key"
    return records
