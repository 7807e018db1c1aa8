"""Search for damaged records, and reading of shards that contain damaged records."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from records.dataset.record import RecordDecoder
from records.errors import CorruptDataError, StorageError
from records.format.index import Index, read_index, read_shard_index
from records.format.layout import index_name
from records.format.shard import missing_as_corrupt
from records.integrity.resilient_reader import read_indexed
from records.text.escaping import escape_for_display
from trainers.config import ImageShape
from trainers.input.decode import decode_images
from trainers.input.parse import RecordParser
from trainers.input.selection import resized_shards
from trainers.out_of_memory import is_out_of_memory, out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from records.dataset import Dataset
    from records.storage import Storage
    from trainers.input.selection import Selection

_SIDE_PX = 8  # images of any size are resized, so the smallest costs least
_WHOLE_DECODER = 1  # decodes at full size: finds every image that TensorFlow refuses at any size
_LOCATION = re.compile(r"\{\{.*?\}\}|\[Op:\w+\]")
TF_READ_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.UnknownError,
)
"""Errors that TensorFlow raises if a record cannot be read; they can also have other causes."""


@dataclass(frozen=True)
class DamagedRecord:
    """A record that cannot be read: its shard, its number in the shard, its key and the error."""

    shard: str
    number: int
    key: str
    error: CorruptDataError


class SkippedRecords:
    """The damaged records that a job leaves out, up to a limit.

    Args:
        dataset: the dataset of the records.
        selections: the records that the job reads.
        limit: the maximum number of damaged records.
        on_message: called with each line that the user should read.
        skipped: the records that earlier processes of the job left out, as (shard name, record
            number).

    Attributes:
        records: the records to leave out, as (shard name, record number).
    """

    def __init__(
        self,
        dataset: Dataset,
        selections: Sequence[Selection],
        limit: int,
        *,
        on_message: Callable[[str], None],
        skipped: Iterable[tuple[str, int]] = (),
    ) -> None:
        self.records = set(skipped)
        self._dataset, self._selections, self._limit = dataset, selections, limit
        self._on_message = on_message
        # TensorFlow would not notice that a shard ends between two records.
        self._resized = resized_shards(dataset, *selections) if limit else frozenset()

    @property
    def shards(self) -> frozenset[str]:
        """Return the names of the shards to read by their index, because records are damaged."""
        return self._resized | {shard for shard, _ in self.records}

    def add_damaged(self, error: Exception) -> list[DamagedRecord]:
        """Search for damaged records after an error of TensorFlow; leave them out, return them.

        Raises:
            CorruptDataError: more records are damaged than the limit allows.
            Exception: `error` itself, if the limit is 0 or no further record is damaged.
        """
        if not self._limit:
            raise error
        self._on_message("a record cannot be read; searching for all damaged records")
        found = [
            damaged
            for selection in self._selections
            for damaged in find_bad_records(self._dataset, selection.excluding(self.records))
        ]
        if not found:
            raise error
        if len(self.records) + len(found) > self._limit:
            first = found[0].error
            first.hint = (
                f"more records are damaged than --skip-bad {self._limit} allows; "
                "this is one of them"
            )
            raise first from error
        for damaged in found:
            self._on_message(f"skipped: {damaged.error}")
        self.records.update((damaged.shard, damaged.number) for damaged in found)
        return found


@contextmanager
def locate_bad_records(
    dataset: Dataset,
    *selections: Selection,
    on_message: Callable[[str], None],
    batch_size: int | None = None,
) -> Iterator[None]:
    """Replace errors of TensorFlow with errors that name the damaged record or the shard.

    Args:
        dataset: the dataset of the records.
        selections: the records that the block reads.
        on_message: called with each line that the user should read.
        batch_size: the number of images per step, if the user can choose it.

    Raises:
        CorruptDataError: a record is damaged; the error names the shard, number and key of the
            first damaged record.
        OutOfMemoryError: the device has too little memory.
        StorageError: the file system failed while TensorFlow read a shard.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if isinstance(error, TF_READ_ERRORS):
            on_message("a record cannot be read; searching for the record")
            for selection in selections:
                for damaged in find_bad_records(dataset, selection):
                    raise damaged.error from error
        _raise_failed_read(error, dataset, selections)
        if is_out_of_memory(error):
            raise out_of_memory(batch_size) from error
        raise
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(batch_size) from error
        raise


def _raise_failed_read(
    error: tf.errors.OpError, dataset: Dataset, selections: Iterable[Selection]
) -> None:
    """Raise StorageError if the error is one of the file system that names a shard.

    The class of the error depends on the error number, and also stands for errors of other kinds.
    The text does not: PATH; REASON.
    """
    for name in {shard.name for selection in selections for shard in selection.shards}:
        found = re.search(rf"{re.escape(name)}; ([^\n\[]+)", str(error))
        if found is not None:
            with missing_as_corrupt(dataset.storage, name):
                dataset.storage.read_range(name, 0, 1)  # an error of this read names the remedy
            raise StorageError(
                "the shard could not be read",
                path=dataset.storage.display_name(name),
                got=escape_for_display(found[1].strip()),
                hint="a later attempt may succeed; continue a training run with --resume",
            ) from error


def find_bad_records(dataset: Dataset, selection: Selection) -> Iterator[DamagedRecord]:
    """Read and decode every record of a selection, and yield the damaged records in order.

    Records are decoded as in training, so that the images that TensorFlow refuses are found.

    Raises:
        CorruptDataError: an index is also damaged, so that the offsets of records are unknown.
    """
    check = _ImageCheck(dataset)
    for place, shard in enumerate(selection.shards):
        chosen = None if selection.mask is None else selection.mask[place]
        index = read_shard_index(dataset.storage, shard)
        for number, payload in enumerate(read_indexed(dataset.storage, shard.name, index)):
            if chosen is None or chosen[number]:
                error = payload if isinstance(payload, CorruptDataError) else check(payload)
                if error is not None:
                    yield _name_record(dataset.storage, shard.name, number, index, error)


def read_skipping_damage(storage: Storage, shard: str) -> Iterator[bytes]:
    """Yield the payload of every record of a shard; the payload of a damaged record is empty."""
    with missing_as_corrupt(storage, index_name(shard)):
        index = read_index(storage, index_name(shard))
    for payload in read_indexed(storage, shard, index):
        yield b"" if isinstance(payload, CorruptDataError) else payload


class _ImageCheck:
    """Decoder of one record at a time; returns the error instead of the image."""

    def __init__(self, dataset: Dataset) -> None:
        options, parser = dataset.manifest.settings.images, RecordParser.from_dataset(dataset)
        width_px, height_px = options.resize or (_SIDE_PX, _SIDE_PX)
        shape = ImageShape(height_px, width_px, options.channels)

        def decode(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            encoded, labels = parser.parse(records)
            return decode_images(encoded, options, shape, _WHOLE_DECODER), labels

        self._decode = tf.function(decode, input_signature=[tf.TensorSpec((1,), tf.string)])
        self._decoder = RecordDecoder.of(dataset.manifest)

    def __call__(self, payload: bytes) -> CorruptDataError | None:
        try:
            with tf.device("CPU"):
                self._decode(tf.constant([payload]))
        except TF_READ_ERRORS as error:
            return self._explain(payload, error)
        return None

    def _explain(self, payload: bytes, error: tf.errors.OpError) -> CorruptDataError:
        """Return why an image is refused, by the checks of `records` if they find the reason."""
        try:
            record = self._decoder.decode(payload)
            for label in record.labels:
                if not 0 <= label < len(self._decoder.labels):
                    return CorruptDataError(f"the label {label} is not in the label map")
            record.decode()
        except CorruptDataError as found:
            return found
        reason = _LOCATION.sub("", error.message.partition("\n")[0]).strip()
        return CorruptDataError(f"TensorFlow cannot decode the image: {reason}")


def _name_record(
    storage: Storage, shard: str, number: int, index: Index, error: CorruptDataError
) -> DamagedRecord:
    key = index.rows(number, number + 1)[0].key
    error.what = f"{escape_for_display(key)}: {error.what}"
    error.path = error.path or storage.display_name(shard)
    error.record = number
    command = f"shardmill verify {shlex.quote(storage.url)} --decode"
    error.hint = error.hint or f"`{command}` lists all damage"
    return DamagedRecord(shard, number, key, error)
