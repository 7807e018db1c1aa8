"""Python API of exports to other formats."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from records.arguments import Positive, Processes, check_arguments
from records.exchange.formats import FormatName
from records.format.layout import SplitName

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from pipelines.export_dataset import ExportReport


@check_arguments
def export_dataset(
    dataset: str | PathLike[str],
    output: str | PathLike[str],
    *,
    format: FormatName,  # noqa: A002 # the name of the option
    split: SplitName | None = None,
    file_mb: Positive | None = None,
    images_per_file: Positive | None = None,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    processes: Processes | None = None,
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write the images of a dataset, with labels and columns, to files of another format.

    The files need no shardmill: the libraries of the format read them. Resumes an interrupted
    export; does nothing if it is complete.

        sm.export_dataset("data", "hub", format="parquet")

    Args:
        dataset: the folder or URL of a finished dataset; it is only read.
        output: the folder or URL of the files; for `folder`, a new local folder.
        format: the format of the files: `parquet` with the features of Hugging Face, `webdataset`,
            `tfds` (TensorFlow Datasets), `arrayrecord`, `mds` (MosaicML Streaming), or `folder`:
            one file per image, as `extract` writes it.
        split: the split to export; by default, all splits.
        file_mb: the approximate size of a file in megabytes; 256 by default.
        images_per_file: the largest number of images in a file, instead of `file_mb`.
        runner: the name of the runner that writes the files; see `convert`.
        beam_flags: the flags to pass to Beam.
        processes: the number of processes of the runner `local`; see `convert`.
        dry_run: whether to only report what would be done, and write nothing.
        on_progress: a callback that receives the number of processed images and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: the dataset does not have the split, two options exclude each other, the output
            is inside `dataset`, or the package that writes the format is missing.
        CorruptDataError: a record or an index is corrupt.
        OutputError: the output cannot be written, or contains something other than this export.
        LockedError: another process is writing to the output.
        StorageError: storage failed after retries.
    """
    from pipelines.export_dataset import export_dataset as run
    from records.runtime.shard_worker import RunnerConfig

    return run(
        os.fspath(dataset),
        os.fspath(output),
        format=format,
        split=split,
        file_mb=file_mb,
        images_per_file=images_per_file,
        runner=RunnerConfig(runner, tuple(beam_flags)),
        processes=processes,
        dry_run=dry_run,
        on_progress=on_progress,
    )
