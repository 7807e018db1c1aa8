"""Export of a dataset, or of one split, to another format."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.export_dataset.folder import export_folder, require_folder_options
from pipelines.export_dataset.options_to_convert import options_to_convert
from pipelines.export_dataset.plan import (
    EXPORT_MANIFEST,
    FORMAT_VERSION,
    ExportManifest,
    ExportPlan,
    FileSize,
    plan_export,
)
from pipelines.export_dataset.report import ExportReport, ExportStatus
from pipelines.export_dataset.worker import ExportWorker, manifest_digest
from pipelines.runners import check_runner, map_shards
from pipelines.sources.path_checks import check_output
from records.content_addressed_dir import ContentAddressedDir
from records.dataset import Dataset, open_dataset
from records.errors import OutputError
from records.exchange.described import ExportedFile
from records.exchange.formats import FOLDER, FORMATS
from records.format.layout import MANIFEST, SplitName, parent
from records.generations import split_generation
from records.runtime.logging import log_line
from records.runtime.processes import divide_cpus
from records.runtime.shard_worker import OnProgress, RunnerConfig, WorkerResult
from records.runtime.telemetry import span
from records.storage import Storage, absolute_location, is_in_memory, open_storage, write_file
from records.storage.exclusive import require_outside
from records.storage.names import is_system_name
from records.storage.work_folder import record_command, run_of_other_command, unfinished_command
from records.strict_json import decode_versioned, encode_canonical
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from records.exchange.formats import FormatName

_COSTS = (100e-6, 3e-9)
"""The approximate seconds of one CPU per record and per byte of a shard."""
_MISMATCH = "another export: of a different dataset or generation, or with different options"


def export_dataset(
    dataset: str,
    output: str,
    *,
    format: FormatName,  # noqa: A002 # the name of the option
    split: SplitName | None = None,
    file_mb: int | None = None,
    images_per_file: int | None = None,
    runner: RunnerConfig | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Write the images of a dataset to files of another format.

    Resumes an interrupted export; does nothing if it is complete.

    Args:
        dataset: the path or URL of a dataset, or of a generation of it.
        output: the path or URL of the folder of the files.
        format: the format.
        split: the split to export; by default, all splits.
        file_mb: the approximate size of a file in megabytes; 256 by default.
        images_per_file: the largest number of images in a file, instead of `file_mb`.
        runner: the runner that writes the files; `local` by default.
        processes: the number of processes of the runner `local`; by default, it follows from the
            usable CPUs and the work.
        dry_run: whether to only report what would be written.
        on_progress: a callback that receives the number of processed images and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: the options contradict each other, the dataset does not have the split, the
            output is inside the dataset, or the package that writes the format is missing.
        CorruptDataError: a record or an index is damaged.
        OutputError: the output cannot be written, or contains something other than this export.
        StorageError: storage failed after retries.
        LockedError: another run is writing to the output.
    """
    check_output(output)
    opened = open_dataset(dataset)
    require_outside(output, opened.location)
    runner = runner or RunnerConfig()
    size = FileSize(file_mb, images_per_file)
    if format == FOLDER:
        require_folder_options(output, runner, size)
        return export_folder(
            opened,
            dataset,
            output,
            split=split,
            processes=processes,
            on_progress=on_progress,
            dry_run=dry_run,
        )
    FORMATS[format].check()
    check_runner(runner, dataset, output)
    export = _Export(opened, dataset, output, plan_export(opened, format, split, size), split)
    if export.is_finished():
        return export.report("nothing-to-do", export.read_files())
    export.require_free()
    if dry_run:
        return export.report("planned", None)
    return export.run(runner, processes, on_progress)


def _require_no_files(storage: Storage) -> None:
    """Check that a folder has only hidden files, such as those of Git. Raises OutputError."""
    names = (name for name in storage.list() if not name.startswith("."))
    first = next((name for name in names if not is_system_name(name)), None)
    if first is not None:
        raise OutputError(
            "the folder contains other files",
            path=storage.url,
            got=escape_for_display(first),
            hint="choose a new or empty folder",
        )


class _Export:
    """An export, and its output."""

    def __init__(
        self, opened: Dataset, dataset: str, output: str, plan: ExportPlan, split: SplitName | None
    ) -> None:
        self._opened, self._dataset, self._output = opened, dataset, output
        self._plan, self._split = plan, split
        self._storage = open_storage(output)
        self._folder = ContentAddressedDir(
            self._storage, plan.key, EXPORT_MANIFEST, plan.names, _MISMATCH
        )
        self._started_at = time.monotonic()

    def is_finished(self) -> bool:
        """Return whether the output has this export. Raises OutputError if it has another one."""
        return self._folder.is_finished()

    def read_files(self) -> tuple[ExportedFile, ...]:
        """Return the files of a finished export. Raises CorruptDataError if it is damaged."""
        return decode_versioned(
            self._storage.read(EXPORT_MANIFEST),
            ExportManifest,
            version=FORMAT_VERSION,
            what="the manifest of an export",
            path=self._storage.display_name(EXPORT_MANIFEST),
        ).files

    def run(
        self, runner: RunnerConfig, processes: int | None, on_progress: OnProgress | None
    ) -> ExportReport:
        """Write the missing files, and the manifest last."""
        plan, storage = self._plan, self._storage
        with storage.lock() as hold:
            # Another process may have finished the export before this process got the lock.
            if self.is_finished():
                return self.report("nothing-to-do", self.read_files())
            self.require_free()
            existing = set(storage.list())
            kept = sum(file.name in existing for file in plan.files)
            record_command(storage, "export-dataset")
            self._folder.begin()
            with span("write"):
                results = self._write(runner, processes, on_progress)
            hold.ensure_held()
            files = tuple(
                ExportedFile(file.name, file.split, file.records, **results[file.name])
                for file in plan.files
            )
            for name, content in plan.side_files(files).items():
                write_file(storage, name, content)
            for folder in sorted({parent(name) for name in plan.names}):
                storage.fsync_folder(folder)
            generation = plan.manifest.generations[-1].number
            manifest = ExportManifest(FORMAT_VERSION, plan.key, plan.format_name, generation, files)
            self._folder.finish(encode_canonical(manifest))
        return self.report("exported", files, kept=kept)

    def require_free(self) -> None:
        """Raise OutputError if the output has a dataset, another run, or a file of the user."""
        storage = self._storage
        if storage.stat(MANIFEST) is not None:
            raise OutputError(
                "the output already contains a dataset",
                path=storage.url,
                hint="choose another folder",
            )
        command = unfinished_command(storage)
        if command not in {None, "export-dataset"}:
            raise run_of_other_command(storage, str(command))
        self._folder.check()
        if not self._folder.is_begun():
            _require_no_files(storage)

    def _write(
        self, runner: RunnerConfig, processes: int | None, on_progress: OnProgress | None
    ) -> Mapping[str, WorkerResult]:
        plan, output = self._plan, absolute_location(self._output)
        folder, _ = split_generation(self._dataset)
        generation = plan.manifest.generations[-1].number
        worker = ExportWorker(
            absolute_location(folder),
            generation,
            manifest_digest(plan.manifest),
            output,
            plan.format_name,
            {file.name: file for file in plan.files},
        )
        if not runner.needs_beam:
            runner = RunnerConfig(processes=self._count_processes(processes))
        return map_shards(
            worker,
            [file.name for file in plan.files],
            output,
            runner=runner,
            images=plan.images,
            on_progress=on_progress,
        )

    def _count_processes(self, processes: int | None) -> int:
        infos = [self._opened[name].info for name in {file.split for file in self._plan.files}]
        per_record, per_byte = _COSTS
        seconds = sum(per_record * info.records + per_byte * info.bytes for info in infos)
        if is_in_memory(self._dataset) or is_in_memory(self._output):
            processes = 1
        division = divide_cpus(len(self._plan.files), seconds, processes=processes)
        if division.processes > 1:
            log_line(str(division), **division._asdict())
        return division.processes

    def report(
        self,
        status: ExportStatus,
        files: tuple[ExportedFile, ...] | None,
        *,
        kept: int | None = None,
    ) -> ExportReport:
        """Return the report; `files` are the written files, and `kept` counts the earlier ones."""
        plan, storage = self._plan, self._storage
        if kept is None:
            kept = len(plan.files) if status == "nothing-to-do" else 0
        return ExportReport(
            status=status,
            output=storage.url,
            format=plan.format_name,
            generation=plan.manifest.generations[-1].number,
            images=plan.images,
            files=len(plan.files),
            files_kept=kept,
            bytes=None if files is None else sum(file.bytes for file in files),
            seconds=round(time.monotonic() - self._started_at, 3) if status == "exported" else 0.0,
            convert=tuple(
                options_to_convert(self._opened, plan.format_name, self._split, storage.url)
            ),
        )
