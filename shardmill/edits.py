"""Python API of changes of datasets: remove, relabel, repair."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from records.arguments import Processes, check_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from pipelines.edit.report import EditReport
    from pipelines.repair import RepairReport


@check_arguments
def remove(
    dataset: str | PathLike[str],
    keys: Sequence[str] | str | PathLike[str] | None = None,
    *,
    where: str | None = None,
    ignore_missing: bool = False,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    processes: Processes | None = None,
    dry_run: bool = False,
    message: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> EditReport:
    """Remove images from a dataset, in a new generation.

        sm.remove("data", ["daisy/0001.jpg"])
        sm.remove("data", where="class == 'daisy' and width < 100")

    Shards with such an image are written again without it. Every reader immediately skips the
    removed images. The old shards remain for earlier generations; the report lists them, and the
    command that removes them.

    Args:
        dataset: the folder or URL of a finished dataset.
        keys: the keys of the images, or the path of a file with one key per line.
        where: the condition of the images; either `keys` or `where` is given.
        ignore_missing: whether keys that the dataset does not have are accepted.
        runner: the name of the runner that copies shards; see `convert`.
        beam_flags: the flags to pass to Beam.
        processes: the number of processes of the runner `local`; see `convert`.
        dry_run: whether to only report what would be removed, and write nothing.
        message: the reason for the new generation; see `sm.log`.
        on_progress: a callback that receives the number of copied images and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset, or it does not have one of the keys.
        UsageError: the condition is invalid, no image would be left, or another program wrote the
            records.
        CorruptDataError: a record or an index is corrupt.
        OutputError: the dataset cannot be written to.
        LockedError: another process is writing to the dataset.
        StorageError: storage failed after retries.
    """
    from pipelines.edit import remove as run
    from pipelines.edit.selection import check_keys, read_keys
    from records.runtime.shard_worker import RunnerConfig

    return run(
        os.fspath(dataset),
        keys=read_keys(os.fspath(keys))
        if isinstance(keys, str | os.PathLike)
        else check_keys(keys),
        where=where,
        ignore_missing=ignore_missing,
        runner=RunnerConfig(runner, tuple(beam_flags)),
        processes=processes,
        dry_run=dry_run,
        message=message,
        on_progress=on_progress,
    )


@check_arguments
def relabel(
    dataset: str | PathLike[str],
    labels: Mapping[str, str | Sequence[str]] | str | PathLike[str],
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    label_separator: str | None = None,
    allow_new_classes: bool = False,
    ignore_missing: bool = False,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    processes: Processes | None = None,
    dry_run: bool = False,
    message: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> EditReport:
    """Change the classes of images of a dataset, in a new generation. Splits do not change.

        sm.relabel("data", {"daisy/0001.jpg": "rose"})

    Shards with such an image are written again.

    Args:
        dataset: the folder or URL of a finished dataset.
        labels: the class of each image to change by key, or its classes if an image of the dataset
            has any number of them; or the path of a list, as for `convert`.
        path_column: the column of the keys in the list.
        label_column: the column of the classes in the list.
        label_separator: the text between several classes of an image in the list.
        allow_new_classes: whether classes that the dataset does not have are added to it.
        ignore_missing: whether keys that the dataset does not have are accepted.
        runner: the name of the runner that copies shards; see `convert`.
        beam_flags: the flags to pass to Beam.
        processes: the number of processes of the runner `local`; see `convert`.
        dry_run: whether to only report what would be changed, and write nothing.
        message: the reason for the new generation; see `sm.log`.
        on_progress: a callback that receives the number of copied images and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset, or it does not have one of the keys.
        UsageError: the list is invalid, a class is unknown, or another program wrote the records.
        CorruptDataError: a record or an index is corrupt.
        OutputError: the dataset cannot be written to.
        LockedError: another process is writing to the dataset.
        StorageError: storage failed after retries.
    """
    from pipelines.edit import relabel as run
    from pipelines.edit.corrections import check_corrections, read_corrections
    from pipelines.options import ConvertOptions
    from records.runtime.shard_worker import RunnerConfig

    if isinstance(labels, str | os.PathLike):
        columns = ConvertOptions(
            source="",
            output="",
            path_column=path_column,
            label_column=label_column,
            label_separator=label_separator,
        )
        corrections = read_corrections(os.fspath(labels), columns)
    else:
        corrections = check_corrections(labels)
    return run(
        os.fspath(dataset),
        corrections,
        allow_new_classes=allow_new_classes,
        ignore_missing=ignore_missing,
        runner=RunnerConfig(runner, tuple(beam_flags)),
        processes=processes,
        dry_run=dry_run,
        message=message,
        on_progress=on_progress,
    )


@check_arguments
def repair(
    dataset: str | PathLike[str],
    source: str | PathLike[str],
    *,
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    **source_options: Any,
) -> RepairReport:
    """Make the damaged files of a dataset again, from the source of its images.

        report = sm.repair("data", "photos")
        print(report.status)

    Every generation is checked. Intact records of a damaged shard are kept; the others are made
    again from unchanged files of the source. A file is replaced only if the result has the size and
    the hash in the manifest.

    Args:
        dataset: the folder or URL of a finished dataset.
        source: the folder, container or URL of the images.
        dry_run: whether to only report what would be repaired, and write nothing.
        on_progress: a callback that receives the number of bytes of the files that were checked or
            made again, and the total number.
        source_options: the arguments of `convert` that describe the source, such as `list` or
            `follow_symlinks`; see `convert`.

    Returns:
        A report of the damaged files; its `status` is `incomplete` if at least one of them cannot
        be repaired.

    Raises:
        InputNotFoundError: there is no finished dataset, or the source does not exist.
        UsageError: an option is invalid, or another program wrote the records.
        CorruptDataError: the present manifest is corrupt.
        OutputError: the dataset cannot be written to.
        LockedError: another process is writing to the dataset.
        StorageError: storage failed after retries.
    """
    from pipelines.repair import make_options
    from pipelines.repair import repair as run

    given = {**source_options, "dry_run": dry_run}
    return run(make_options(os.fspath(dataset), os.fspath(source), given), on_progress)
