"""Datasets made from Python: convert, append, compact, extract, adopt."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from pipelines.report import Report


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
    list: str | PathLike[str] | None = None,  # noqa: A002 # the option's name
    exclude: str | PathLike[str] | None = None,
    layout: Literal["auto", "classes", "splits"] = "auto",
    follow_symlinks: bool = False,
    allow_url: bool = False,
    check: Literal["header", "decode"] = "decode",
    max_rejects: float | int | None = None,
    max_pixels: int = 100_000_000,
    background: str = "FFFFFF",
    resize: int | tuple[int, int] | None = None,
    fit: Literal["stretch", "crop", "pad"] = "stretch",
    store: Literal["source", "jpeg", "png", "raw"] = "source",
    channels: Literal[1, 3] = 3,
    jpeg_quality: int = 95,
    append: bool = False,
    allow_new_classes: bool = False,
    workers: int | None = None,
    dry_run: bool = False,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Convert a folder of labelled images into a dataset of TFRecord shards.

    Resumes a conversion that was interrupted; does nothing if the dataset is complete. Each
    argument is the option of the same name of `shardmill convert`.

        report = sm.convert("photos", "data", test=0.2)

    Args:
        source: a folder with one folder per class, or with train/, test/ and validation/; a URL.
        output: the folder or URL of the dataset.
        test: the test split: a fraction if float, a number of images if int.
        validation: the validation split, likewise.
        stratify: keep the proportion of every class in each split.
        group_by: `parent` or a regular expression: images of one group are in one split.
        seed: the seed of splits and order.
        shards: the number of shards of train.
        shard_mb: megabytes of source images per shard; 128 if neither is given.
        classes: convert only these classes.
        labels: a label map that numbers the classes.
        list: a .csv or .jsonl file of images instead of class folders.
        exclude: a file of keys to leave out, one per line.
        layout: whether the top folders are classes or splits.
        follow_symlinks: also convert what links out of `source` lead to.
        allow_url: let the list name URLs.
        check: decode every image, or only those that are re-encoded.
        max_rejects: rejected images allowed, as a fraction or a number.
        max_pixels: reject larger images.
        background: RRGGBB, the colour of transparent pixels and of padding.
        resize: stored size in pixels: one side of a square, or (width, height).
        fit: how `resize` treats another aspect ratio.
        store: format of the stored images.
        channels: 3 for colour, 1 for grey.
        jpeg_quality: quality of images re-encoded as JPEG.
        append: add the new images of `source` to an existing dataset.
        allow_new_classes: with `append`, also take classes that the dataset does not have.
        workers: threads per process; all cores if None.
        dry_run: report what would be done, and write nothing.
        runner: `local`, `flink`, `spark`, `prism`, `dataflow`, or the name of a Beam runner.
        beam_flags: flags for Beam.
        on_progress: called with the number of images done and the number of all images.

    Returns:
        Counts per split and class, rejects and notes.

    Raises:
        UsageError: an option is invalid.
        InputNotFoundError: there are no images to convert.
        TooManyRejectsError: more images were rejected than allowed; nothing is published.
        OutputError: the output cannot be written, or contains another dataset.
        LockedError: another process is writing to the output.
        StorageError: storage failed after retries.
    """
    from pipelines.convert import convert as run
    from pipelines.options import ConvertOptions
    from records.format.image_options import ImageOptions

    images = ImageOptions(
        check=check,
        max_pixels=max_pixels,
        background=background,
        resize=(resize, resize) if isinstance(resize, int) else resize,
        fit=fit,
        store=store,
        channels=channels,
        jpeg_quality=jpeg_quality,
    )
    optional: dict[str, Any] = {} if workers is None else {"workers": workers}
    options = ConvertOptions(
        source=os.fspath(source),
        output=os.fspath(output),
        test=test,
        validation=validation,
        stratify=stratify,
        group_by=group_by,
        seed=seed,
        shards=shards,
        shard_mb=shard_mb,
        classes=None if classes is None else tuple(classes),
        labels=_path(labels),
        list=_path(list),
        exclude=_path(exclude),
        layout=layout,
        follow_symlinks=follow_symlinks,
        allow_url=allow_url,
        max_rejects=max_rejects,
        images=images,
        append=append,
        allow_new_classes=allow_new_classes,
        dry_run=dry_run,
        runner=runner,
        beam_flags=tuple(beam_flags),
        **optional,
    )
    return run(options, on_progress)


def append(source: str | PathLike[str], output: str | PathLike[str], **options: Any) -> Report:
    """Add the new images of a source to an existing dataset, as one generation.

    Takes the arguments of `convert`. Creates the dataset if it does not exist.

        sm.append("photos", "data", test=0.2)

    Raises:
        As `convert`.
    """
    return convert(source, output, append=True, **options)


def compact(
    dataset: str | PathLike[str],
    output: str | PathLike[str],
    *,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Write all generations of a dataset as one generation of another dataset.

        sm.compact("data", "compacted")

    Args:
        dataset: the folder or URL of a finished dataset; it is only read.
        output: the folder or URL of the new dataset.
        runner: as of `convert`.
        beam_flags: flags for Beam.
        dry_run: report what would be done, and write nothing.
        on_progress: called with the number of images done and the number of all images.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: the records were written by another program, or the folders overlap.
        CorruptDataError: a record or an index is corrupt.
        OutputError: the output cannot be written, or contains something else.
    """
    from pipelines.compact import compact as run
    from records.runtime.shard_worker import RunnerConfig

    return run(
        os.fspath(dataset),
        os.fspath(output),
        runner=RunnerConfig(runner, tuple(beam_flags)),
        dry_run=dry_run,
        on_progress=on_progress,
    )


def extract(dataset: str | PathLike[str], output: str | PathLike[str]) -> int:
    """Write the images of a dataset into `OUTPUT/SPLIT/CLASS/FILE`; return their number.

        sm.extract("data", "images")

    Raises:
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: a record is corrupt.
        OutputError: the output exists or cannot be written.
    """
    from pipelines.extract import extract as run

    return run(os.fspath(dataset), os.fspath(output))


def _path(location: str | PathLike[str] | None) -> str | None:
    return None if location is None else os.fspath(location)
