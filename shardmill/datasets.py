"""Python API of datasets: convert, append, compact, extract, rollback, prune."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from records.arguments import Positive, Processes, check_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from pipelines.prune import PruneReport
    from pipelines.report import Report
    from pipelines.rollback import RollbackReport


@check_arguments
def convert(
    source: str | PathLike[str],
    output: str | PathLike[str],
    *,
    test: float | int | None = None,
    validation: float | int | None = None,
    stratify: bool = False,
    group_by: str | None = None,
    seed: int = 0,
    shards: int | None = None,
    shard_mb: int | None = None,
    classes: Sequence[str] | None = None,
    labels: str | PathLike[str] | None = None,
    list: str | PathLike[str] | None = None,  # noqa: A002 # the name of the option
    path_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    target_column: str | None = None,
    multi_label: bool = False,
    label_separator: str | None = None,
    image_folder: str | PathLike[str] | None = None,
    keep_columns: Sequence[str] | str | None = None,
    map: Mapping[str, str | None] | str | PathLike[str] | Sequence[str] | None = None,  # noqa: A002
    leaf_class: bool = False,
    exclude: str | PathLike[str] | None = None,
    layout: Literal["auto", "classes", "splits"] = "auto",
    follow_symlinks: bool = False,
    allow_url: bool = False,
    check: Literal["header", "decode"] = "decode",
    quality: bool = False,
    max_rejects: float | int | None = None,
    quarantine: bool = False,
    max_pixels: int = 100_000_000,
    max_file_mb: int = 1000,
    image_timeout: int = 60,
    background: str = "FFFFFF",
    resize: int | tuple[int, int] | None = None,
    fit: Literal["stretch", "crop", "pad"] = "stretch",
    store: Literal["source", "jpeg", "png", "raw", "mixed"] = "source",
    raw_share: float | None = None,
    channels: Literal[1, 3] = 3,
    jpeg_quality: int = 95,
    append: bool = False,
    allow_new_classes: bool = False,
    max_gone: float | int = 0.1,
    accept_gone: bool = False,
    rename_class: Mapping[str, str] | Sequence[str] | None = None,
    processes: Processes | None = None,
    workers: int | None = None,
    dry_run: bool = False,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    describe: str | PathLike[str] | None = None,
    message: str | None = None,
    storage_patience: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Convert a folder of labelled images into a dataset of TFRecord shards.

    Resumes an interrupted conversion; does nothing if the dataset is complete. Each argument
    corresponds to the option of `shardmill convert` with the same name.

        report = sm.convert("photos", "data", test=0.2)

    Args:
        source: the folder or URL of the images: one folder per class, or split folders (train/,
            test/, validation/) that contain class folders; or a container (ZIP, TAR, Parquet,
            TFRecord, idx, .npz), a pattern such as `data/*.tar`, or a folder of containers.
        output: the folder or URL of the dataset.
        test: the size of the test split, as a fraction (float) or an image count (int).
        validation: the size of the validation split, as a fraction (float) or an image count (int).
        stratify: whether to keep the proportion of every class in each split.
        group_by: the definition of groups: `parent` groups images by folder, a regular expression
            by the part of the key that it matches. All images of a group are in one split.
        seed: the seed of the splits and the image order.
        shards: the number of shards in the train split.
        shard_mb: the megabytes of source images per shard; 128 if this and `shards` are None.
        classes: the names of the classes to convert; all classes if None.
        labels: the path of a label map that numbers the classes.
        list: the path of a CSV, TSV, JSON or Parquet file that lists images, instead of class
            folders.
        path_column: the column of the list with paths, names or IDs; found by its name if None.
        label_column: the column of the list with labels, or one-hot columns separated by commas; or
            the column, field, feature or array of containers with images; or `none`: all images
            have one class.
        split_column: the column of the list with splits, or `none`.
        group_column: the column of the list with groups, or `none`.
        target_column: the column of the list, or of containers with images, with a number per
            image, which `train` can learn to predict; it is kept as float32, and the images need no
            labels.
        image_folder: the folder below `source` with the images of the list.
        multi_label: whether an image may have any number of labels: from multi-hot columns, rows
            with several labels, several rows per image, or lists in containers.
        label_separator: the separator of the labels in a cell; implies `multi_label`.
        keep_columns: the names of the columns of the list, or of containers with images, whose
            values the records keep, or `all`; none if None, or those of the dataset with `append`.
        map: new names of classes: a mapping (None drops a class), `OLD=NEW` texts, or paths of
            files.
        leaf_class: whether the class of an image is its innermost folder.
        exclude: the path of a file with the keys to exclude, one per line.
        layout: the kind of the top folders: classes or splits; detected if `auto`.
        follow_symlinks: whether to convert the targets of links that lead out of `source`.
        allow_url: whether the list may contain URLs.
        check: the images to decode: all if `decode`, only re-encoded images if `header`.
        quality: whether to save the measurements of each image, so that `sm.quality` reads none;
            not with the check `header`.
        max_rejects: the maximum fraction (float) or number (int) of rejected images; if None, 0.01
            of the images or 10 images, whichever is more.
        quarantine: whether to publish the other images if more are rejected than `max_rejects`
            allows, and not to raise `TooManyRejectsError`; the field `quarantined` of the report
            is then true.
        max_pixels: the number of pixels above which an image is rejected.
        max_file_mb: the size in megabytes above which a file is rejected without being read.
        image_timeout: the time in seconds after which an image that is still being decoded is
            rejected.
        background: the colour of transparent pixels and padding, as RRGGBB.
        resize: the stored size in pixels: the side of a square, or (width, height).
        fit: the treatment of images whose aspect ratio differs from that of `resize`.
        store: the format of the stored images; `source` keeps JPEG and PNG files unchanged, and
            `mixed` stores a part of the images as `raw`, and the others as `source`.
        raw_share: the fraction of the images that `mixed` stores as `raw`; if None, 0.3.
        channels: the number of channels: 3 for colour, 1 for grayscale.
        jpeg_quality: the quality of images that are re-encoded as JPEG.
        append: whether to add the new images of `source` to an existing dataset.
        allow_new_classes: whether `append` may add classes that the dataset does not have.
        max_gone: the maximum fraction (float) or number (int) of stored images that `append` may
            find missing from `source`; with more, nothing is written.
        accept_gone: whether `append` removes stored images whose files are missing.
        rename_class: the new names of classes of the dataset, for `append` after their folders were
            renamed in `source`: a mapping, or `OLD=NEW` texts. A class is merged into another class
            of the dataset that has this name.
        processes: the number of processes of the runner `local`; if None, the number of cores that
            this process may use, but fewer for a few seconds of work or for fewer shards.
        workers: the number of threads in each process; if None, the cores divided by the processes.
        dry_run: whether to only report what would be done, and write nothing.
        runner: the name of the runner: `local`, `flink`, `spark`, `prism`, `dataflow`, or any Beam
            runner.
        beam_flags: the flags to pass to Beam.
        describe: the path of a TOML file with name, licence, citation and so on of the dataset; if
            None, an existing dataset keeps its description.
        message: the reason for the new generation; see `sm.log`.
        storage_patience: how long to wait for a store that does not answer, such as `90s` or `10m`;
            if None, the value of SHARDMILL_STORAGE_PATIENCE, or ten minutes.
        on_progress: a callback that receives the number of processed images and the total number.

    Returns:
        A report of the counts, splits, rejects and notes.

    Raises:
        UsageError: an option is invalid.
        InputNotFoundError: there are no images to convert.
        TooManyRejectsError: more images were rejected than allowed; no dataset is published.
        OutputError: the output cannot be written, or contains a dataset that was made from
            different images or options.
        LockedError: another process is writing to the output.
        StorageError: storage failed after retries.
    """
    given = dict(locals())
    del given["on_progress"], given["storage_patience"]
    from pipelines.convert import convert as run
    from pipelines.options import make_options
    from records.runtime.storage_patience import default_patience

    with default_patience(storage_patience):
        return run(make_options(given), on_progress)


@check_arguments
def append(source: str | PathLike[str], output: str | PathLike[str], **options: Any) -> Report:
    """Add the new images of a source to an existing dataset, as one generation.

    Stored images get the classes that they have in the source now. Takes the arguments of
    `convert`. Creates the dataset if it does not exist. The settings of an existing dataset apply:
    another value is an error, unless it is the default of the argument.

        sm.append("photos", "data", test=0.2)

    Raises:
        ShardmillError: an error that `convert` raises.
    """
    return convert(source, output, append=True, **options)


@check_arguments
def compact(
    dataset: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    in_place: bool = False,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    processes: Processes | None = None,
    dry_run: bool = False,
    message: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Write all generations of a dataset as one generation, of a new dataset or of the same one.

        sm.compact("data", "compacted")
        sm.compact("data", in_place=True)

    With `in_place`, the field `old_shards` of the report contains the shards that still contain
    removed images, and `next` the command that removes those of earlier generations.

    Args:
        dataset: the folder or URL of a finished dataset.
        output: the folder or URL of the new dataset; `dataset` is only read then.
        in_place: whether to add a generation to `dataset` instead; earlier generations remain until
            `prune` removes them.
        runner: the name of the runner that copies shards; see `convert`.
        beam_flags: the flags to pass to Beam.
        processes: the number of processes of the runner `local`; see `convert`.
        dry_run: whether to only report what would be done, and write nothing.
        message: the reason for the new dataset or generation; see `sm.log`.
        on_progress: a callback that receives the number of processed images and the total number.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: not exactly one of `output` and `in_place` is given, another program wrote the
            records, or the output is inside `dataset`.
        CorruptDataError: a record or an index is corrupt.
        OutputError: the output cannot be written, or contains something other than the compacted
            dataset.
        LockedError: another process is writing to the output.
        StorageError: storage failed after retries.
    """
    from pipelines.compact import compact as run
    from records.runtime.shard_worker import RunnerConfig

    return run(
        os.fspath(dataset),
        None if output is None else os.fspath(output),
        in_place=in_place,
        runner=RunnerConfig(runner, tuple(beam_flags)),
        processes=processes,
        dry_run=dry_run,
        message=message,
        on_progress=on_progress,
    )


@check_arguments
def extract(
    dataset: str | PathLike[str], output: str | PathLike[str], *, processes: Processes | None = None
) -> int:
    """Write the images of a dataset to `OUTPUT/SPLIT/CLASS/FILE`; return their number.

        sm.extract("data", "images")

    If an image has any number of labels, there are no class folders. For such a dataset, and for a
    dataset that keeps columns, `OUTPUT/SPLIT/metadata.jsonl` contains the labels and the columns.

    Args:
        dataset: the folder or URL of a finished dataset; it is only read.
        output: the new folder.
        processes: the number of processes that write files; see `convert`.

    Raises:
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: a record is corrupt.
        UsageError: the output is inside the dataset, or at a URL that is not local.
        OutputError: the output exists or cannot be written.
    """
    from pipelines.extract import extract as run

    return run(os.fspath(dataset), os.fspath(output), processes=processes)


@check_arguments
def rollback(
    dataset: str | PathLike[str],
    *,
    to: Positive | None = None,
    message: str | None = None,
    dry_run: bool = False,
) -> RollbackReport:
    """Publish a new generation of a dataset that has the records of an earlier one.

    No shard is written, and no file is removed, so a rollback can be rolled back. If the dataset
    has these records already, nothing is done.

        sm.rollback("data", to=3)

    Args:
        dataset: the folder or URL of a finished dataset.
        to: the number of the earlier generation; by default, the one before the present one.
        message: the reason for the new generation; see `sm.log`.
        dry_run: whether to only report what would be done, and write nothing.

    Raises:
        InputNotFoundError: there is no finished dataset, or the generation was pruned.
        UsageError: the dataset never had the generation.
        CorruptDataError: a manifest is corrupt, or a shard of the generation is missing.
        OutputError: the dataset cannot be written to, or a run of another command is unfinished.
        LockedError: another process is writing to the dataset.
    """
    from pipelines.rollback import rollback as run

    return run(os.fspath(dataset), to=to, message=message, dry_run=dry_run)


@check_arguments
def prune(dataset: str | PathLike[str], *, older_than: str, dry_run: bool = False) -> PruneReport:
    """Remove old generations of a dataset, and the files that only they need.

    The present generation is never removed. A removed generation cannot be read or rolled back to,
    but `sm.log` still lists it. A file that shardmill did not write, or that was changed since, is
    kept.

        sm.prune("data", older_than="7d")

    Args:
        dataset: the folder or URL of a finished dataset.
        older_than: the time since a generation was replaced, such as `12h` or `7d`.
        dry_run: whether to only report what would be removed, and remove nothing.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: the duration is invalid.
        CorruptDataError: a manifest is corrupt, so that it is unknown which files it needs.
        OutputError: a file cannot be removed.
        LockedError: another process is writing to the dataset.
    """
    from pipelines.prune import prune as run

    return run(os.fspath(dataset), older_than=older_than, dry_run=dry_run)
