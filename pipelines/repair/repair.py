"""Repair of a dataset: find damage, make files again, compare, replace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from pipelines.options import ConvertOptions
from pipelines.repair.damage import Damage, expected_digests, find_damage, ignoring_damage
from pipelines.repair.dataset import DatasetToRepair
from pipelines.repair.dry_run import DryRunStorage, discard
from pipelines.repair.explain import UNKNOWN_ROWS, explain_file, explain_index, explain_shard
from pipelines.repair.listed import ListedFiles, ListedShard, read_listed_files
from pipelines.repair.lists import remake_list
from pipelines.repair.reindex import remake_index
from pipelines.repair.remake import Remade, remake_shard
from pipelines.repair.replan import convert_again
from pipelines.repair.report import RepairedFile, RepairReport
from pipelines.repair.source import SourceImages
from pipelines.repair.stored import StoredRecords
from pipelines.repair.waiting import find_waiting, move_waiting, waiting_name
from pipelines.sources.path_checks import check_locations
from records.errors import LockedError, UsageError
from records.format.index import read_shard_index
from records.format.layout import WORK_FOLDER, index_name
from records.format.manifest import read_manifest
from records.format.metadata.card_file import update_card
from records.generations import require_whole_dataset
from records.runtime.shard_worker import OnProgress
from records.runtime.telemetry import span
from records.storage import FolderLock, StagedFile, Storage, open_storage, redact_url
from records.storage.work_folder import remove_rest
from records.text.escaping import escape_for_display


def repair(options: ConvertOptions, on_progress: OnProgress | None = None) -> RepairReport:
    """Make the damaged files of a dataset again, with the bytes that its manifests list.

    Every generation is repaired. A file is replaced only by one with its size and hash, so a
    repair can be interrupted at any moment, and repeated.

    Args:
        options: the source, the dataset (`output`), how the source is listed, and `dry_run`.
        on_progress: a callback that receives the number of bytes of the files that were checked or
            made again, and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset, or the source does not exist.
        UsageError: the dataset is adopted, or an option or the source is invalid.
        CorruptDataError: the present manifest is damaged.
        OutputError: the dataset cannot be written to.
        StorageError: storage failed after retries.
        LockedError: another run is writing to the dataset.
    """
    started_at = time.monotonic()
    options.validate()
    require_whole_dataset(options.output)
    storage = open_storage(options.output)
    progress = _Progress(on_progress)
    listed = _read_listed_files(storage)
    check_locations(options.source, options.output)
    damage = progress.check(storage, listed)
    files: list[RepairedFile] = []
    if damage and options.dry_run:
        source = SourceImages(options, listed.present, storage, can_write=False)
        dataset = DatasetToRepair(storage, listed, damage, source, storage.overwrite, {})
        files = _Repair(dataset, None, progress).run()
    elif damage:
        with storage.lock() as lock:
            # Another run may have changed the dataset, or repaired files, before this one got the
            # lock. The files of a generation that was pruned must not return.
            again = _read_listed_files(storage)
            if again.has_manifests_of(listed):
                damage = find_damage(storage, listed, damage)
            else:
                listed, damage = again, progress.check(storage, again)
            source = SourceImages(options, listed.present, storage, can_write=True)
            dataset = DatasetToRepair(storage, listed, damage, source, storage.overwrite, {})
            files = _Repair(dataset, lock, progress).run()
            update_card(storage, listed.present)
            remove_rest(storage)
    elif not options.dry_run and storage.list(WORK_FOLDER):
        with suppress(LockedError), storage.lock() as lock:  # the rest of a killed repair
            move_waiting(storage, (), lock)
            remove_rest(storage)
    return _report(options, files, time.monotonic() - started_at)


def _read_listed_files(storage: Storage) -> ListedFiles:
    if read_manifest(storage).adopted is not None:
        raise UsageError(
            "an adopted dataset cannot be repaired: shardmill did not write its records",
            path=storage.url,
            hint="copy the intact records of a damaged file with `shardmill salvage FILE OUTPUT`",
        )
    return read_listed_files(storage)


def _report(options: ConvertOptions, files: list[RepairedFile], seconds: float) -> RepairReport:
    is_whole = all(file.is_repaired for file in files)
    done = "planned" if options.dry_run else "repaired"
    return RepairReport(
        status="nothing-to-do" if not files else done if is_whole else "incomplete",  # type: ignore[arg-type]
        dataset=open_storage(options.output).url,
        source=escape_for_display(redact_url(options.source)),
        dry_run=options.dry_run,
        files=tuple(sorted(files, key=lambda file: file.file)),
        seconds=round(seconds, 3),
    )


class _Progress:
    """The number of bytes of the files that were checked or made again, and the total number."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress or (lambda _done, _total: None)
        self._done = self._total = 0

    @span("check")
    def check(self, storage: Storage, listed: ListedFiles) -> Damage:
        """Return the damaged files; their bytes count twice, because they are made again."""
        sizes = {name: it.bytes for name, it in expected_digests(listed).items()}
        self._total += sum(sizes.values())
        damage = find_damage(storage, listed, on_bytes=self.add)
        self._total += sum(sizes.get(name, 0) for name in damage)
        return damage

    def add(self, size_bytes: int) -> None:
        """Count more bytes."""
        self._done += size_bytes
        self._on_progress(self._done, max(self._done, self._total))


class _Repair:
    """The repair of the damaged files of a dataset; without a lock, it is a dry run."""

    def __init__(
        self, dataset: DatasetToRepair, lock: FolderLock | None, progress: _Progress
    ) -> None:
        self._lock, self._progress = lock, progress
        self._dry = DryRunStorage(dataset.storage) if lock is None else None
        storage = dataset.storage if self._dry is None else cast("Storage", self._dry)
        self._dataset = dataset._replace(storage=storage, overwrite=self._overwrite)
        self._listed, self._damage = dataset.listed, dataset.damage
        self._sizes = {name: it.bytes for name, it in expected_digests(dataset.listed).items()}
        self._files: dict[str, RepairedFile] = {}
        self._held: set[str] = set()
        self._waiting: set[str] = set()

    @span("repair")
    def run(self) -> list[RepairedFile]:
        """Repair all files; return the result of each."""
        for name in sorted(self._damage.keys() & self._listed.derived.keys()):
            self._write(name, self._listed.derived[name])
        # The rejects of an index are found in a list, and those of a list in indexes.
        self._repair_lists()
        self._waiting = find_waiting(self._dataset.storage, self._listed) & self._damage.keys()
        self._held = self._find_held()
        shards = self._listed.shards.values()
        for shard in sorted(shards, key=lambda shard: shard.info.name in self._held):
            self._repair_shard(shard)
        if self._lock is not None:
            move_waiting(self._dataset.storage, self._waiting, self._lock)
            for shard in shards:
                if shard.info.name in self._waiting and self._lacks_index(shard):
                    self._reindex(shard)
        self._repair_lists()
        for name in sorted(self._damage.keys() - self._files.keys()):
            self._add(name, is_repaired=False, problem=explain_file(name, self._listed))
        return [*self._files.values()]

    def _find_held(self) -> set[str]:
        """Return the damaged shards whose files have records of other damaged shards.

        They are replaced after the others are written.
        """
        damaged = [shard for name, shard in self._listed.shards.items() if name in self._damage]
        storage, held = self._dataset.storage, set[str]()
        for shard in damaged if len(damaged) > 1 else ():
            stored = StoredRecords(storage, self._listed, self._damage)
            with ignoring_damage(storage):  # the index is damaged, too
                index = read_shard_index(storage, shard.info, shard.form)
                held |= stored.find_borrowed(shard, index)
        return held

    def _repair_lists(self) -> None:
        damaged = self._damage.keys() & self._listed.lists.keys()
        for name in sorted(damaged - self._files.keys()):
            content = remake_list(name, self._dataset)
            if content is not None:
                self._write(name, content)

    def _repair_shard(self, shard: ListedShard) -> None:
        name = shard.info.name
        is_indexed = index_name(name) not in self._damage
        if name in self._waiting:  # an earlier repair has written it
            self._add(name, is_repaired=True)
        elif name in self._damage and is_indexed:
            self._rewrite(shard)
        elif name in self._damage:
            self._convert(shard)
        elif not is_indexed:
            self._reindex(shard)

    def _lacks_index(self, shard: ListedShard) -> bool:
        name = index_name(shard.info.name)
        return name in self._damage and name not in self._files

    def _rewrite(self, shard: ListedShard) -> None:
        """Write a shard again whose index is intact."""
        remade = remake_shard(shard, self._dataset)
        problem = "" if remade.is_identical else explain_shard(shard, remade)
        self._add_shard(shard, remade, problem)

    def _convert(self, shard: ListedShard) -> None:
        """Write a shard and its index again."""
        remade, content = convert_again(shard, self._dataset)
        number = shard.written_by.number
        problem = (
            f"its index is damaged too, and the source does not give generation {number} again"
        )
        self._add_shard(shard, remade, "" if remade.is_identical else problem)
        if content is not None:
            self._write(index_name(shard.info.name), content)
        elif not remade.is_identical or self._lock is None:
            self._add(index_name(shard.info.name), is_repaired=False, problem=UNKNOWN_ROWS)
        elif shard.info.name not in self._held:  # otherwise, after it has its place
            self._reindex(shard)

    def _reindex(self, shard: ListedShard) -> None:
        """Make the index of an intact shard again."""
        content = remake_index(shard, self._dataset)
        if content is None:  # such as one with rejects, if their list is damaged too
            _, content = convert_again(shard, self._dataset._replace(overwrite=discard))
        name = index_name(shard.info.name)
        if content is not None:
            self._write(name, content)
        else:
            self._add(name, is_repaired=False, problem=explain_index(shard, self._dataset.storage))

    @contextmanager
    def _overwrite(self, name: str) -> Iterator[StagedFile]:
        place = waiting_name(name) if name in self._held else name
        with self._dataset.storage.overwrite(place) as staged:
            yield staged
            if self._lock is not None:
                self._lock.ensure_held()
        if name in self._held:
            self._waiting.add(name)

    def _write(self, name: str, content: bytes) -> None:
        if self._dry is not None:
            self._dry.made[name] = content
        else:
            with self._overwrite(name) as staged:
                staged.write(content)
        self._add(name, is_repaired=True)

    def _add_shard(self, shard: ListedShard, remade: Remade, problem: str) -> None:
        counts = {"from_dataset": remade.from_dataset, "from_source": remade.from_source}
        self._add(
            shard.info.name,
            is_repaired=remade.is_identical,
            missing_keys=tuple(remade.missing),
            problem=problem,
            **(counts if remade.is_identical else {}),
        )

    def _add(self, name: str, *, is_repaired: bool, **details: Any) -> None:
        self._progress.add(self._sizes.get(name, 0))
        self._files[name] = RepairedFile(name, self._damage[name], is_repaired, **details)
