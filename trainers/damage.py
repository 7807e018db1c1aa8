"""TensorFlow says that some record is damaged; this says which."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import tensorflow as tf

from records.dataset import decode_record
from records.errors import DamagedError, ShardmillError
from records.images import decode_stored
from records.shard import read_shard
from records.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from records.dataset import Dataset
    from trainers.selection import Selection

_HINT = "`shardmill verify TARGET --decode` lists all that is damaged"
_FROM_READING = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.UnknownError,
)


class OutOfMemoryError(ShardmillError):
    """The device has less memory than a step needs."""

    exit_code = 74


@contextmanager
def naming_damage(
    dataset: Dataset, *selections: Selection, say: Callable[[str], None]
) -> Iterator[None]:
    """Turn what TensorFlow raises over a damaged record into an error that names the record.

    Raises:
        DamagedError: the first damaged record, by shard, number and key.
        OutOfMemoryError: memory did not suffice.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OutOfMemoryError(
            "there is not enough memory for a step", hint="try a smaller --batch-size"
        ) from error
    except _FROM_READING as error:
        say("a record cannot be read; looking for it")
        for selection in selections:
            find_damage(dataset, selection)
        raise error from None


def find_damage(dataset: Dataset, selection: Selection) -> None:
    """Read and decode every record, as TensorFlow does not, to the first that is damaged.

    Raises:
        DamagedError: that one.
    """
    for shard in selection.shards:
        try:
            for number, frame in enumerate(read_shard(dataset.storage, shard.name)):
                _check_record(frame.payload, number)
        except DamagedError as error:
            error.path = error.path or dataset.storage.describe(shard.name)
            error.hint = error.hint or _HINT
            raise


def _check_record(payload: bytes, number: int) -> None:
    record = decode_record(payload, record=number)
    try:
        decode_stored(record.image, record.format, record.width, record.height, record.channels)
    except DamagedError as error:
        error.what = f"{printable(record.key)}: {error.what}"
        error.record = number
        raise
