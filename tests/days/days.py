"""Days in which a source changes, and commands update its dataset."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from random import Random

from records import verify
from records.format.layout import FINGERPRINTS, MANIFEST
from records.storage import open_storage
from tests.days import checks, damage
from tests.days.commands import Commands, Ended
from tests.days.model import Model, Run, assert_equal
from tests.days.names import choose_names, keep_names
from tests.days.readers import count_index_rows, count_with_all_readers
from tests.days.runs import Runs, Store
from tests.days.source import Source, open_place
from tests.keys import write_keys

_log = logging.getLogger(__name__)

DAYS_PER_COUNT = 25
_NO_INPUT = 66
_EDITS = frozenset({"convert", "remove", "relabel", "rollback", "compact"})
"""The commands after which the dataset has its card."""


def _nothing() -> None:
    pass


class Days:
    """A dataset, its source, and its model.

    Attributes:
        counts: the numbers of commands, kills, outages and others so far.
    """

    def __init__(
        self, source: Source, store: Store, commands: Commands, folder: Path, chance: Random
    ) -> None:
        self._source, self._store = source, store
        self._runs = Runs(commands, store, chance)
        self._folder, self._chance = folder, chance
        self._key = write_keys(folder)
        self._model = Model()
        self._number = 0
        self._signed: int | None = None
        self._dataset = f"{store.url}/data-0"
        self._is_stratified = chance.random() < 0.3
        self.counts: Counter[str] = self._runs.counts
        self._append(accept_gone=False)

    def pass_day(self) -> None:
        """Change the source, perhaps edit or damage the dataset, and append the changes."""
        self._number += 1
        _log.info("day %d: %s", self._number, dict(self.counts))
        self._source.live()
        edits = [self._remove, self._remove_where, self._relabel, self._roll_back]
        edits += [self._compact, self._compact_in_place, self._prune]
        if self._chance.random() < 0.5:
            self._chance.choice(edits)()
        if self._chance.random() < 0.2:
            self._damage()
        is_done = self._append(accept_gone=self._chance.random() < 0.4)
        if is_done and self._chance.random() < 0.2:
            self._append_nothing()
        if self._chance.random() < 0.4:
            self._chance.choice([self._sign, self._find_issues, self._list, self._compare])()
        if self._number % DAYS_PER_COUNT == 0:
            self.count_with_all_readers()

    def count_with_all_readers(self) -> None:
        """Compare the counts of all readers, and decode all records."""
        found = count_with_all_readers(self._dataset)
        splits = checks.count_splits(self._model.state)
        assert all(counts == splits for counts in found.values()), (found, splits)
        assert list(verify(self._dataset, decode=True)) == []
        self.counts["counts by all readers"] += 1

    # Commands that add generations

    def _append(self, *, accept_gone: bool, is_repeated: bool = False) -> bool:
        """Append the source, perhaps a second time; return whether the run was not killed."""
        names, described = keep_names(self._source, self._model.state), None
        if not is_repeated:
            labels = checks.read_labels(self._dataset)
            names = choose_names(self._source, self._model.state, labels, self._chance)
            if self._chance.random() < 0.1:
                described = f"Data {self._chance.randrange(100)}"
        files = dict(self._source.files)
        classes = {key: names.of_source[self._source.class_of(key)] for key in files}
        run = Run(files, classes, names.of_source, names.renames, accept_gone, described)
        options = ["--quiet", "--append", "--test", "0.3", "--max-gone", "1.0"]
        options += ["--allow-new-classes", "--max-rejects", "1000"]
        options += ["--stratify"] * self._is_stratified + ["--accept-gone"] * accept_gone
        options += ["--processes", "2"] * (self._chance.random() < 0.03)
        if described is not None:
            options += ["--describe", self._write("data.toml", f'name = "{described}"\n')]
        arguments = [self._source.place.url, self._dataset, *options, *names.options]
        before = len(self._model.state.records)

        def apply() -> None:
            changes = self._model.append(run)
            expected.update(
                stored=len(changes.stored),
                rejected=len(changes.rejected),
                removed=len(changes.removed),
                corrected=len(changes.relabelled),
            )

        expected: dict[str, int] = {}
        ended = self._run("convert", arguments, apply)
        checks.check_renamed(self._dataset, self._model)
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
            assert {it["from"]: it["to"] for it in report["class_renamed"]} == run.renames, report
            self.counts["classes renamed"] += len(run.renames)
        self.counts["records added"] += max(0, len(self._model.state.records) - before)
        return True

    def _append_nothing(self) -> None:
        """Append the same source again, which must change nothing."""
        before = open_storage(self._dataset).read(MANIFEST)
        self._append(accept_gone=False, is_repeated=True)
        assert open_storage(self._dataset).read(MANIFEST) == before

    def _remove(self) -> None:
        chosen = self._choose_records(3)
        keys = self._write("keys.txt", "".join(f"{key}\n" for key in chosen))
        self._run("remove", [self._dataset, "--keys", keys], lambda: self._model.remove(chosen))

    def _remove_where(self) -> None:
        name = self._chance.choice(self._model.state.classes)
        part = f"{self._chance.randrange(6)}{self._chance.randrange(10)}"
        records = self._model.state.records
        chosen = [
            key
            for key, record in records.items()
            if record.class_name == name and part in key
        ]  # fmt: skip
        where = f"class == {name!r} and {part!r} in key"
        if len(chosen) < len(records):
            arguments = [self._dataset, "--where", where]
            self._run("remove", arguments, lambda: self._model.remove(chosen))

    def _relabel(self) -> None:
        classes = self._model.state.classes
        new = {key: self._chance.choice(classes) for key in self._choose_records(4)}
        rows = "".join(f'"{key}",{name}\n' for key, name in new.items())
        file = self._write("corrected.csv", f"key,class\n{rows}")
        self._run("relabel", [self._dataset, file], lambda: self._model.relabel(new))

    def _roll_back(self) -> None:
        numbers = sorted(self._model.generations)[-8:-1]
        if not numbers:
            return
        number, before = self._chance.choice(numbers), checks.read_number(self._dataset)

        def apply() -> None:
            if checks.read_number(self._dataset) != before:  # otherwise, it has the same records
                self._model.rollback(number, checks.read_renamed(self._dataset))

        self._run("rollback", [self._dataset, "--to", str(number)], apply)

    def _compact_in_place(self) -> None:
        self._run("compact", [self._dataset, "--in-place"], _nothing)
        if self._chance.random() < 0.5:
            self._prune()

    def _compact(self) -> None:
        old, new = self._dataset, f"{self._store.url}/data-{self._number}"
        self._dataset, self._signed = new, None
        self._run("compact", [old, new], self._model.compact, is_repeated=True)
        self._store.erase(old)
        self._check_erased()

    def _prune(self) -> None:
        self._model.generations.clear()  # if the run is killed, some may be incomplete
        arguments = [self._dataset, "--older-than", "0"]
        if self._run("prune", arguments, _nothing) is not None:
            self._check_erased()

    # Commands that add none

    def _damage(self) -> None:
        """Damage files of the dataset, find the damage, and repair it."""
        if not damage.is_complete(self._dataset):
            self._runs.finish(["prune", self._dataset, "--older-than", "0"])
        files, place = damage.read_files(self._dataset), open_place(self._dataset)
        damages = damage.choose_damages(files, self._chance)
        what = damage.describe(damages, files)
        for each in damages:
            if each.content is None:
                place.remove(each.name)
            else:
                place.write(each.name, each.content)
        self._find_damage(files, damages)
        contents = {*self._source.files.values()}
        repairable = damage.find_repairable(files, damages, contents)
        lost: set[str] = set()

        def restore() -> None:
            found = damage.read_contents(self._dataset)
            names = files.contents.keys() | found.keys()
            lost.update(name for name in names if found.get(name) != files.contents.get(name))
            assert lost <= {each.name for each in damages} - repairable, (lost, what)
            for name in lost:
                place.write(name, files.contents[name])

        names = keep_names(self._source, self._model.state)
        arguments = [self._dataset, self._source.place.url, *names.options]
        ended = self._run("repair", arguments, restore, is_repeated=True, codes={0, 1})
        assert ended is not None
        report = json.loads(ended.output)
        assert {file["file"] for file in report["files"] if not file["repaired"]} == lost, what
        assert ended.status == bool(lost), what
        self.counts["files damaged"] += len(damages)
        self.counts["files restored from a copy"] += len(lost)
        if self._chance.random() < 0.2 and FINGERPRINTS in files.contents:
            place.remove(FINGERPRINTS)  # it is not part of the dataset
            self._model.renamed = {}

    def _find_damage(self, files: damage.Files, damages: list[damage.Damage]) -> None:
        """Check that `verify` finds each damage."""
        for each in damages:
            target = damage.place_of(each, files, self._dataset)
            ended = self._runs.finish(["verify", target, "--json"], {1})
            found = {finding["file"] for finding in json.loads(ended.output)["findings"]}
            assert found & damage.names_of(each), (found, damage.describe(damages, files))

    def _sign(self) -> None:
        def apply() -> None:
            self._signed = checks.read_number(self._dataset)

        arguments = [self._dataset, "--key", str(self._key)]
        self._run("sign", arguments, apply, is_repeated=True)

    def _find_issues(self) -> None:
        ended = self._run("quality", [self._dataset], _nothing)
        if ended is not None:
            assert json.loads(ended.output)["images"] == len(self._model.state.records)

    def _list(self) -> None:
        ended = self._run("log", [self._dataset], _nothing)
        if ended is not None:
            checks.check_log(ended.output, self._model)

    def _compare(self) -> None:
        generations = self._model.generations
        one, other = self._chance.choices(sorted(generations), k=2)
        pair = [f"{self._dataset}@{number}" for number in (one, other)]
        ended = self._run("diff", pair, _nothing)
        if ended is not None:
            checks.check_diff(ended.output, generations[one], generations[other])

    def _choose_records(self, most: int) -> list[str]:
        return self._chance.sample(sorted(self._model.state.records), self._chance.randint(1, most))

    def _write(self, name: str, text: str) -> str:
        path = self._folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    # Runs

    def _run(
        self,
        command: str,
        arguments: list[str],
        apply: Callable[[], None],
        *,
        is_repeated: bool = False,
        codes: Collection[int] = (0,),
    ) -> Ended | None:
        """Run a command, perhaps killed and repeated, and compare the dataset with the model.

        One killed run in five is not repeated, unless `is_repeated` is set. Then, the dataset has
        either the generation of the run or the one before it.

        Returns:
            the result of the last run, None if it was killed.
        """
        words = [command, *arguments, "--json"]
        before = checks.read_number(self._dataset)
        was_killed = self._runs.kill(words, codes)
        if was_killed and not is_repeated and self._chance.random() < 0.2:
            self.counts["killed and not repeated"] += 1
            self._forget_run(apply, before)
            return None
        ended = self._runs.finish(words, codes)
        apply()
        self._check()
        if command in _EDITS:
            checks.check_description(self._dataset, self._model.state.described)
        return ended

    def _forget_run(self, apply: Callable[[], None], before: int) -> None:
        if self._chance.random() < 0.3:
            ended = self._runs.repeat(["clean", self._dataset])
            assert ended.status in {0, _NO_INPUT}, ended
        if checks.read_number(self._dataset) != before:
            apply()
        if before:
            self._model.renamed = checks.read_renamed(self._dataset)
            self._check()
        else:
            self._append(accept_gone=False)

    def _check(self) -> None:
        """Compare the dataset with the model, and one earlier generation with its state."""
        model, number = self._model, checks.read_number(self._dataset)
        model.check(checks.read_records(self._dataset), number)
        assert count_index_rows(self._dataset) == checks.count_splits(model.state)
        if self._chance.random() < 0.3:
            assert list(verify(self._dataset)) == []
        earlier = sorted(model.generations)[:-1]
        if earlier and self._chance.random() < 0.3:
            earlier_number = self._chance.choice(earlier)
            expected = model.generations[earlier_number].records
            assert_equal(checks.read_records(f"{self._dataset}@{earlier_number}"), expected)
            self.counts["earlier generations read"] += 1
        if self._signed is not None and self._chance.random() < 0.3:
            key = self._key.with_suffix(".pub")
            checks.check_signature(self._dataset, key, self._signed, model)

    def _check_erased(self) -> None:
        checks.check_erased(self._dataset, self._model, self._source.files.values())
        assert list(verify(self._dataset)) == []
