"""PTransform that writes the rows of a PCollection as a dataset.

    rows ─ Stage ─► parts ─ Plan ─► names of shards ─ Reshuffle ─ Write ─► Publish ─► report

Images are not shuffled: a bundle of rows is staged in the work folder of the output as a part, and
the workers that write shards read ranges of parts. One element passes through the steps that need
all rows; they read the parts without the bytes of the images.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsIter, AsList, AsSingleton, TaggedOutput
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints.schemas import named_fields_from_element_type
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.options import ConvertOptions, make_options
from pipelines.report import Report
from pipelines.runners.beam import ProcessShard
from pipelines.runners.job_errors import whole_messages
from pipelines.sources.base import read_source_filter
from pipelines.sources.path_checks import check_output
from pipelines.transforms.parts import Part, PartWriter
from pipelines.transforms.rows import CONTENT_FIELDS, RowFields, row_fields
from pipelines.transforms.write_run import (
    PlannedRun,
    WriteOptions,
    begin_run,
    finish_run,
    make_task,
)
from records.arguments import check_arguments
from records.errors import UsageError
from records.format.metadata.description import read_description
from records.storage import absolute_location
from records.text.escaping import escape_for_display

_NAMESPACE = "shardmill"
_NAMES, _RUN, _TASK = "names", "run", "task"


class WriteDataset(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """Write a PCollection of labelled images as a dataset.

        with beam.Pipeline() as pipeline:
            (
                pipeline
                | beam.io.ReadFromParquet("photos.parquet")
                | beam.Map(lambda row: beam.Row(key=row["id"], label=row["kind"], image=row["jpg"]))
                | WriteDataset("data", test=0.2)
            )

    An element is a mapping, a `beam.Row`, a named tuple, or any object with these attributes; other
    fields are ignored:

    | field | type | meaning |
    | --- | --- | --- |
    | `key` | str, or bytes for other than UTF-8 | the unique name of the image, a relative path |
    | `label` | str or int | the class; with the option `labels`, also its number |
    | `image` | bytes | the content of the image file |
    | `uri` | str | an absolute path or a URL of the image file, in place of `image` |
    | `split` | str, optional | `train`, `validation` or `test`, or a word such as `val` |
    | `group` | str or int, optional | images of one group are assigned to one split |
    | the name of `target_column` | int, float or None | the number to predict |
    | the names in `keep_columns` | str, int, float, bool or None | values that the records keep |

    With the option `multi_label`, `label` can also be a list of classes. With `target_column`, a
    row without the field `label` has the class `image`.

    The dataset is the same, byte for byte, as that of `sm.convert` for a folder with the same keys,
    classes and files: on any runner, and for any order, bundles and retries. It is published when
    it is complete; a published dataset is never overwritten. The same pipeline again resumes an
    interrupted run, and does nothing if the dataset is complete.

    Rows that are equal count once. Without a label, with an unreadable image or over `max_file_mb`,
    a row is a reject.

    The result is a PCollection of one `Report`, with counts and rejects. The counters
    `shardmill:images_stored` and `shardmill:images_rejected` are among the metrics.

    Args:
        output: the folder or URL of the dataset, which all workers can write.
        test: the size of the test split, as a fraction (float) or an image count (int).
        validation: the size of the validation split, as a fraction (float) or an image count (int).
        stratify: whether to keep the proportion of every class in each split.
        group_by: the definition of groups: `parent` groups images by the folder in their keys, a
            regular expression by the part of the key that it matches.
        seed: the seed of the splits and the image order.
        shards: the number of shards in the train split.
        shard_mb: the megabytes of source images per shard; 128 if this and `shards` are None.
        classes: the names of the classes to write; all classes if None.
        labels: the path of a label map that numbers the classes.
        map: new names of classes: a mapping (None drops a class), `OLD=NEW` texts, or paths of
            files.
        multi_label: whether an image may have any number of labels.
        target_column: the name of the field of rows with a number per image, or None for an unknown
            number, which `train` can learn to predict; it is kept as float32, and a row does not
            need the field `label`.
        keep_columns: the names of the fields of rows whose values the records keep: texts, numbers,
            booleans, or None for a missing value.
        exclude: the path of a file with the keys to exclude, one per line.
        check: the images to decode: all if `decode`, only re-encoded images if `header`.
        quality: whether to save the measurements of each image, so that `sm.quality` reads none;
            not with the check `header`.
        max_rejects: the maximum fraction (float) or number (int) of rejected images; if None, 0.01
            of the images or 10 images, whichever is more.
        quarantine: whether to publish the other images if more are rejected than `max_rejects`
            allows, and not to raise `TooManyRejectsError`; the field `quarantined` of the report
            is then true.
        max_pixels: the number of pixels above which an image is rejected.
        max_file_mb: the size in megabytes above which an image is rejected.
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
        workers: the number of threads that write a shard; if None, the number of usable cores.
        describe: the path of a TOML file with name, licence, citation and so on of the dataset.
        message: the reason for the dataset; see `sm.log`.

    Raises:
        UsageError: an option is invalid, the PCollection is unbounded, or its schema lacks a field.
            A worker raises it if a row is invalid, or two rows of one key differ.
        InputNotFoundError: the file of an option does not exist, or there are no rows.
        OutputError: the output is a file. A worker raises it if the output cannot be written, or
            contains a dataset of different images or options.
        TooManyRejectsError: more images were rejected than allowed; raised by a worker.
        LockedError: another run writes to the same output; raised by a worker.
        StorageError: storage failed after retries; raised by a worker.
    """

    @check_arguments
    def __init__(
        self,
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
        map: Mapping[str, str | None] | str | PathLike[str] | Sequence[str] | None = None,  # noqa: A002
        multi_label: bool = False,
        target_column: str | None = None,
        keep_columns: Sequence[str] | str | None = None,
        exclude: str | PathLike[str] | None = None,
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
        workers: int | None = None,
        describe: str | PathLike[str] | None = None,
        message: str | None = None,
    ) -> None:
        given = {
            name: value for name, value in locals().items() if name not in {"self", "__class__"}
        }
        super().__init__()
        location = absolute_location(os.fspath(output))
        check_output(location)
        options = make_options({**given, "source": location, "output": location})
        options.validate()
        row_fields(options)
        self._options = WriteOptions(
            options, read_source_filter(options, None), read_description(options.describe)
        )

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """See `beam.PTransform.expand`."""
        if not rows.is_bounded:
            raise UsageError(
                "WriteDataset needs a bounded PCollection: a dataset is complete when it is written"
            )
        options = self._options
        _check_fields(rows.element_type, row_fields(options.convert))
        parts = (
            rows
            | "Rewindow" >> beam.WindowInto(GlobalWindows())
            | "Stage" >> beam.ParDo(_StageRows(options.convert))
        )
        planned = (
            rows.pipeline
            | "Start" >> beam.Create([None])
            | "Plan"
            >> beam.ParDo(_Plan(options), AsList(parts)).with_outputs(_RUN, _TASK, main=_NAMES)
        )
        written = (
            planned[_NAMES]
            | beam.Reshuffle()
            | "Write" >> beam.ParDo(ProcessShard(), AsSingleton(planned[_TASK]))
        )
        return planned[_RUN] | "Publish" >> beam.ParDo(_Publish(options), AsIter(written))


def _check_fields(element_type: Any, fields: RowFields) -> None:
    """Raise UsageError if the schema of a PCollection lacks a field; any other type may have it."""
    try:
        names = {name for name, _ in named_fields_from_element_type(element_type)}
    except (TypeError, ValueError):
        return
    has_content = not names.isdisjoint(CONTENT_FIELDS)
    if not has_content or not names.issuperset(fields.required):
        expected = ", ".join(map(escape_for_display, fields.required))
        raise UsageError(
            "the schema of the PCollection lacks a field",
            expected=f"{expected}, and image or uri",
            got=escape_for_display(", ".join(sorted(names))) or "no fields",
        )


@beam.typehints.with_output_types(Part)
class _StageRows(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Writes the rows of each bundle as parts."""

    def __init__(self, options: ConvertOptions) -> None:
        super().__init__()
        self._output = options.output
        self._fields = row_fields(options)

    def start_bundle(self) -> None:
        """Forget the rows of a failed bundle."""
        self._part = PartWriter(self._output, self._fields)

    def process(self, row: Any) -> Iterator[Part]:
        """Add a row, and yield a part if it is full."""
        with whole_messages():
            self._part.add(row)
            if self._part.is_full and (part := self._part.write()) is not None:
                yield part

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Yield the last part."""
        with whole_messages():
            if (part := self._part.write()) is not None:
                yield GlobalWindows.windowed_value(part)


class _Plan(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Plans over all parts, and yields the name of each shard."""

    def __init__(self, options: WriteOptions) -> None:
        super().__init__()
        self._options = options

    def process(self, _start: None, parts: list[Part]) -> Iterator[str | TaggedOutput]:
        """Yield the names, the run, and the task of the workers."""
        with whole_messages():
            run = begin_run(self._options, sorted(parts))
            yield TaggedOutput(_RUN, run)
            yield TaggedOutput(_TASK, make_task(self._options, run))
            yield from run.shards


@beam.typehints.with_output_types(Report)
class _Publish(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Publishes the dataset when all shards are written, and yields the report."""

    def __init__(self, options: WriteOptions) -> None:
        super().__init__()
        self._options = options
        self._images_stored = Metrics.counter(_NAMESPACE, "images_stored")
        self._images_rejected = Metrics.counter(_NAMESPACE, "images_rejected")

    def process(self, run: PlannedRun, written: Iterable[str]) -> Iterator[Report]:
        """Publish the dataset of a run."""
        with whole_messages():
            report = finish_run(self._options, run, frozenset(written))
            self._images_stored.inc(report.counts.stored)
            self._images_rejected.inc(report.counts.rejected)
            yield report
