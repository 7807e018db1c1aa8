"""Compaction into a new dataset, or into a new generation."""

from __future__ import annotations

from pipelines.compact.in_place import compact_in_place
from pipelines.compact.new_dataset import compact_to_new
from pipelines.report import Report
from records.errors import UsageError
from records.runtime.shard_worker import OnProgress, RunnerConfig


def compact(
    dataset: str,
    output: str | None = None,
    *,
    in_place: bool = False,
    runner: RunnerConfig | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    message: str | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Write the records of all generations of a dataset as one generation.

    Resumes an interrupted compaction; does nothing if it is complete.

    Args:
        dataset: the path or URL of a dataset.
        output: the path or URL of the new dataset; the dataset is not changed then.
        in_place: whether to write a new generation of the dataset instead.
        runner: the runner that copies shards; `local` by default.
        processes: the number of processes of the runner `local`; by default, it follows from the
            usable CPUs and the work.
        dry_run: whether to only report what would be written.
        message: the reason for the new dataset or generation, for its provenance.
        on_progress: a callback that receives the number of processed images and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: not exactly one of `output` and `in_place` is given, adopted files would be
            compacted in place, the output is inside the dataset, or `dataset` names a generation to
            change.
        CorruptDataError: a record or an index is damaged.
        OutputError: the output cannot be written, or contains something other than the compacted
            dataset.
        StorageError: storage failed after retries.
        LockedError: another run is writing to the output, or has changed the dataset.
    """
    if (output is None) != in_place:
        raise UsageError(
            "compact needs either OUTPUT or --in-place",
            hint="name a new folder, or add a generation to the dataset with --in-place",
        )
    runner = runner or RunnerConfig()
    if output is None:
        return compact_in_place(
            dataset,
            runner=runner,
            processes=processes,
            dry_run=dry_run,
            message=message,
            on_progress=on_progress,
        )
    return compact_to_new(
        dataset,
        output,
        runner=runner,
        processes=processes,
        dry_run=dry_run,
        message=message,
        on_progress=on_progress,
    )
