"""Batches of images and labels from a selection of records.

    shards, shuffled ─► interleaved ─► records, shuffled ─► batched ─► parsed, decoded ─► prefetched

Shards contain their records in hash order, so that each shard is a random sample, and the shuffle
buffer can be smaller than the dataset. Epoch `e` of seed `s` has the same order in every run,
no matter at which step the run starts. Records before this step are read, but not decoded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import tensorflow as tf

from records.dataset.batches import batch_by_bytes
from records.format.index import read_index
from records.format.layout import index_name
from records.format.shard import missing_as_corrupt, read_shard
from records.storage.local import LocalStorage
from records.text.keys import key_from_text
from trainers.config import DECODER
from trainers.input.bad_records import read_skipping_damage
from trainers.input.decode import decode_crops, decode_images
from trainers.input.parallelism import CORES, parallel_map, prefetch, without_autotune
from trainers.input.parse import OUR_RECORDS, RecordParser, append_key
from trainers.input.shuffle import (
    ShuffleSpec,
    batch_epoch,
    list_epochs,
    no_autograph,
    repeat_records,
    shuffle_buffer_records,
    shuffle_records,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from records.dataset import Dataset
    from records.format.columns import Column
    from records.images import ImageOptions
    from records.storage import Storage
    from trainers.config import ImageShape
    from trainers.input.selection import Selection
    from trainers.input.shard_cache import ShardCache

_SHARDS_AT_A_TIME = 16
_READ_BUFFER_BYTES = 1 << 20
_BATCH_RECORDS = 128


class RecordSource(Protocol):
    """A source of records: the shards of a dataset, or a cache of the shards."""

    def read(self, shard: tf.Tensor) -> tf.data.Dataset:
        """Return the records of the shard with this name, as strings."""

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return images uint8 (batch, *shape) and labels of records; see `RecordParser.parse`."""

    def record_bytes(self, selection: Selection) -> int:
        """Return the mean size of a record in bytes, from which the shuffle buffer is sized."""


@dataclass(frozen=True)
class ShardSource:
    """Records from the shards of a dataset."""

    storage: Storage
    options: ImageOptions
    shape: ImageShape
    damaged: frozenset[str] = frozenset()
    parser: RecordParser = OUR_RECORDS
    decoder: int = DECODER
    cache: ShardCache | None = None

    @classmethod
    def from_dataset(
        cls,
        dataset: Dataset,
        shape: ImageShape,
        damaged: frozenset[str] = frozenset(),
        *,
        decoder: int = DECODER,
    ) -> ShardSource:
        """Return a source of the records of a dataset; this decoder decodes images to `shape`.

        From shards in `damaged` and shards with excluded records, only the records in the index are
        read.
        """
        splits = dataset.manifest.splits.values()
        larger = {
            shard.name for facts in splits for shard in facts.shards if shard.excluded_records
        }
        images, parser = dataset.manifest.settings.images, RecordParser.from_dataset(dataset)
        return cls(dataset.storage, images, shape, damaged | larger, parser, decoder)

    def with_target(self, target: Column | None) -> Self:
        """Return the source with the values of a column as labels; unchanged for None."""
        return replace(self, parser=replace(self.parser, target=target))

    def read(self, shard: tf.Tensor) -> tf.data.Dataset:
        """See `RecordSource.read`."""
        if self.cache is not None and not self.parser.needs_keys:
            return self._read_copy(shard, self.cache)
        if isinstance(self.storage, LocalStorage) and not self._reads_by_python:
            path = tf.strings.join([f"{self.storage.path}/", shard])
            return tf.data.TFRecordDataset(path, buffer_size=_READ_BUFFER_BYTES)
        return self._read_original(shard)

    def _read_original(self, shard: tf.Tensor) -> tf.data.Dataset:
        # TensorFlow supports fewer kinds of URLs than `Storage`, and cannot skip damaged records.
        # A call of Python for each record would take as long as reading the record.
        batches = tf.data.Dataset.from_generator(
            self._read_batches, args=(shard,), output_signature=tf.TensorSpec((None,), tf.string)
        )
        return batches.unbatch()

    def _read_batches(self, shard: bytes) -> Iterator[npt.NDArray[np.object_]]:
        payloads = self._read_payloads(shard)
        for batch in batch_by_bytes(
            payloads, len, most_items=_BATCH_RECORDS, end_bytes=_READ_BUFFER_BYTES
        ):
            yield np.array(batch, object)

    def _read_copy(self, shard: tf.Tensor, cache: ShardCache) -> tf.data.Dataset:
        def find(shard: bytes) -> bytes:
            name = shard.decode()
            return os.fsencode((name not in self.damaged and cache.find(name)) or "")

        path = tf.ensure_shape(tf.numpy_function(find, [shard], tf.string), ())
        has_copy = tf.strings.length(path) > 0
        copy = tf.boolean_mask(path[tf.newaxis], has_copy[tf.newaxis])
        original = tf.data.Dataset.from_tensors(shard).filter(no_autograph(lambda _: ~has_copy))
        return tf.data.TFRecordDataset(copy, buffer_size=_READ_BUFFER_BYTES).concatenate(
            original.flat_map(no_autograph(self._read_original))
        )

    @property
    def _reads_by_python(self) -> bool:
        return bool(self.damaged)

    def _read_payloads(self, shard: bytes) -> Iterator[bytes]:
        name = shard.decode()
        if name in self.damaged:
            return read_skipping_damage(self.storage, name)
        return (frame.payload for frame in read_shard(self.storage, name))

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `RecordSource.decode`."""
        encoded, labels = self.parser.parse(records)
        return decode_images(encoded, self.options, self.shape, self.decoder), labels

    def decode_crops(
        self, records: tf.Tensor, min_area: float, seeds: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return a random crop of each image, and labels; `seeds` are int64 (batch, 2)."""
        encoded, labels = self.parser.parse(records)
        crops = decode_crops(
            encoded, self.options, self.shape, min_area, seeds, decoder=self.decoder
        )
        return crops, labels

    def record_bytes(self, selection: Selection) -> int:
        """See `RecordSource.record_bytes`."""
        records = sum(shard.records for shard in selection.shards)
        return sum(shard.bytes for shard in selection.shards) // max(records, 1)


class ShardSourceWithKeys(ShardSource):
    """Records of a dataset, each with its key next to its label."""

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return images and (labels, keys)."""
        images, labels = super().decode(records)
        return images, (labels, self.parser.parse_keys(records))

    @property
    def _reads_by_python(self) -> bool:
        return super()._reads_by_python or self.parser.needs_keys

    def _read_payloads(self, shard: bytes) -> Iterator[bytes]:
        payloads = super()._read_payloads(shard)
        if not self.parser.needs_keys:
            return payloads
        name = index_name(shard.decode())
        with missing_as_corrupt(self.storage, name):
            index = read_index(self.storage, name)
        keys = map(key_from_text, index.keys(0, len(index)))
        return map(append_key, payloads, keys)


def ordered_batches(source: RecordSource, selection: Selection, batch_size: int) -> tf.data.Dataset:
    """Return each record once, in stored order: batches of uint8 images and int64 labels."""
    shards = _list_shards(selection)
    batches = _read_shards(source, selection, shards, at_a_time=1).batch(batch_size)
    return parallel_map(batches, source.decode)


def shuffled_batches(
    source: RecordSource, selection: Selection, batch_size: int, order: ShuffleSpec
) -> tf.data.Dataset:
    """Return the batches of one epoch after another: uint8 images and int64 labels.

    Decoding does not pause between epochs. Only a `ShardSource` can crop.
    """
    buffer_records = shuffle_buffer_records(selection.records, source.record_bytes(selection))

    @no_autograph
    def read_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        records = _read_epoch(source, selection, order, epoch)
        if order.is_shuffled:
            records = shuffle_records(records, buffer_records, order.seed, epoch)
        return batch_epoch(records, batch_size, order, epoch)

    def decode(
        epoch: tf.Tensor, step: tf.Tensor, records: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = decode_records(epoch, step, records)
        return order.augmented(images, epoch, step), labels

    def decode_records(
        epoch: tf.Tensor, step: tf.Tensor, records: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if order.crop == 1:
            return source.decode(records)
        if not isinstance(source, ShardSource):
            raise TypeError("only encoded images can be cropped; the callers check this")
        numbers = step * batch_size + tf.range(tf.size(records, tf.int64))
        seeds = tf.stack([tf.fill(tf.shape(numbers), order.epoch_seed(epoch)), numbers], axis=1)
        return source.decode_crops(records, order.crop, seeds)

    batches = list_epochs(order).flat_map(read_epoch)
    return parallel_map(batches, decode)


def interleaved_batches(
    source: RecordSource, selection: Selection, batch_size: int, order: ShuffleSpec
) -> tf.data.Dataset:
    """Return batches that are read like `shuffled_batches`, but without its shuffle buffer."""
    records = list_epochs(order).flat_map(
        no_autograph(lambda epoch: _read_epoch(source, selection, order, epoch))
    )
    return parallel_map(records.batch(batch_size), source.decode)


def cached_batches(
    source: RecordSource, selection: Selection, batch_size: int, order: ShuffleSpec | None = None
) -> tf.data.Dataset:
    """Return batches like `shuffled_batches`, or like `ordered_batches` if `order` is None.

    Images are decoded once; all decoded images are then kept in memory.
    """
    decoded = ordered_batches(source, selection, batch_size)
    if order is None:
        return without_autotune(decoded.cache())
    images = decoded.unbatch().cache()

    @no_autograph
    def shuffle_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        records = images
        if order.labels is not None:
            records = repeat_records(records, order.repeats(epoch))
        if order.is_shuffled:
            records = shuffle_records(records, selection.records, order.seed, epoch)
        return batch_epoch(records, batch_size, order, epoch)

    @no_autograph
    def augment(
        epoch: tf.Tensor, step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return order.augmented(batch[0], epoch, step), batch[1]

    batches = list_epochs(order).flat_map(shuffle_epoch)
    return (
        prefetch(batches.map(augment)) if order.augment is None else parallel_map(batches, augment)
    )


def _list_shards(selection: Selection) -> tf.data.Dataset:
    """Return each shard: its name, the number of records before it, its number of records."""
    names = [shard.name for shard in selection.shards]
    counts = np.array([shard.records for shard in selection.shards], np.int64)
    return tf.data.Dataset.from_tensor_slices((names, np.cumsum(counts) - counts, counts))


def _read_epoch(
    source: RecordSource, selection: Selection, order: ShuffleSpec, epoch: tf.Tensor
) -> tf.data.Dataset:
    """Return the records of an epoch: in stored order, or of several shards in turn."""
    shards = _list_shards(selection)
    repeats = None
    if order.labels is not None:
        repeats = order.repeats(epoch, np.concatenate(selection.shard_masks))
    if not order.is_shuffled:
        return _read_shards(source, selection, shards, at_a_time=1, repeats=repeats)
    shards = shuffle_records(shards, len(selection.shards), order.seed, epoch)
    return _read_shards(source, selection, shards, at_a_time=_SHARDS_AT_A_TIME, repeats=repeats)


def _read_shards(
    source: RecordSource,
    selection: Selection,
    shards: tf.data.Dataset,
    *,
    at_a_time: int,
    repeats: tf.Tensor | None = None,
) -> tf.data.Dataset:
    chosen = None if selection.mask is None else np.concatenate(selection.mask)

    @no_autograph
    def read_shard_of(name: tf.Tensor, first: tf.Tensor, count: tf.Tensor) -> tf.data.Dataset:
        records = source.read(name)
        if repeats is not None:
            return repeat_records(records, repeats[first : first + count])
        if chosen is None:
            return records
        return keep_selected(records, tf.constant(chosen)[first : first + count])

    at_a_time = min(at_a_time, len(selection.shards))
    return shards.interleave(
        read_shard_of,
        cycle_length=at_a_time,
        num_parallel_calls=min(CORES, at_a_time),
        deterministic=True,
    )


def keep_selected(records: tf.data.Dataset, chosen: tf.Tensor) -> tf.data.Dataset:
    """Return the records whose value in `chosen`, bool (records,), is true."""
    keep = tf.data.Dataset.from_tensor_slices(chosen)
    pairs = tf.data.Dataset.zip((records, keep)).filter(no_autograph(lambda _, kept: kept))
    return pairs.map(no_autograph(lambda record, _: record))
