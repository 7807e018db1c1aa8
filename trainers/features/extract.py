"""Extraction of the features of every image of some shards."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import xxhash

from records.errors import UsageError
from trainers.features.manifest import FeatureSpec
from trainers.input import decode
from trainers.input.parallelism import parallel_map
from trainers.input.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import keras
    from numpy.typing import NDArray

    from records.dataset import Dataset
    from records.format.manifest import ShardInfo
    from trainers.config import Architecture
    from trainers.features.store import FeatureBatch, FeatureStore
    from trainers.input.pipeline import RecordSource
    from trainers.models.build import Network
    from trainers.options import FeatureType

_BATCH_IMAGES = 32  # with MobileNetV2 on a CPU, 16 and 64 take the same time per image

ImageBatch = tuple["NDArray[np.uint8]", "NDArray[np.int64]"]
"""Images (batch, height, width, channels) and labels (batch,)."""


def get_extractor(network: Network, model: str) -> keras.Model:
    """Return the extractor of a network. Raises UsageError if the model has none."""
    if network.extractor is None:
        raise UsageError(
            "this model has no backbone to extract features with",
            got=model,
            hint="use a model of keras.applications, such as mobilenet_v2",
        )
    return network.extractor


def make_spec(
    dataset: Dataset, extractor: keras.Model, architecture: Architecture, dtype: FeatureType
) -> FeatureSpec:
    """Return the specification of the features that an extractor computes from a dataset."""
    return FeatureSpec(
        model=architecture.model,
        weights=digest_weights(extractor),
        shape=architecture.shape,
        pooling=architecture.pooling,
        dtype=dtype,
        features=extractor.output_shape[-1],
        images=dataset.manifest.settings.images,
        decoder=decode.VERSION,
    )


def digest_weights(model: keras.Model) -> str:
    """Return the xxh3-128 hash of name, type, shape and bytes of all weights, in order."""
    digest = xxhash.xxh3_128()
    for weight in model.weights:
        array = np.ascontiguousarray(weight.numpy())
        # Without the path, because Keras numbers layers per process.
        digest.update(f"{weight.name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return str(digest.hexdigest())


def whole_shard(shard: ShardInfo) -> Selection:
    """Return a selection of all records of a shard of any split."""
    return Selection("train", "train", (shard,))


def extract_features(
    extractor: keras.Model,
    source: RecordSource,
    shards: Sequence[ShardInfo],
    store: FeatureStore,
    *,
    count: Callable[[int], None],
    batch_images: int = _BATCH_IMAGES,
) -> None:
    """Write the features of every record of some shards to a store, one shard after another.

    Args:
        extractor: the model from uint8 (batch, *shape) to features (batch, features).
        source: the source of the records.
        shards: the shards that the store does not contain yet.
        store: the store, locked by this process.
        count: a function that is called with the number of images of each batch; an exception that
            it raises stops the extraction.
        batch_images: the number of images per batch.

    Raises:
        tf.errors.OpError: a record is damaged.
        ShardmillError: see `FeatureStore.write`.
    """
    # An empty shard yields no batch, and would be missing in the loop below.
    for shard in shards:
        if not shard.records:
            store.write(shard, ())
    batches = _read_shards(source, shards, batch_images).as_numpy_iterator()
    for number, group in groupby(batches, key=lambda batch: int(batch[0])):
        images = (batch for _, batch in group)
        store.write(shards[number], _compute(extractor, images, batch_images, count))


def _read_shards(
    source: RecordSource, shards: Sequence[ShardInfo], batch_images: int
) -> tf.data.Dataset:
    """Return batches of one shard each, with the shard number, prefetched across shards."""
    names = tf.constant([shard.name for shard in shards], tf.string)
    numbered = tf.data.Dataset.from_tensor_slices(names).enumerate()

    def read_shard(number: tf.Tensor, name: tf.Tensor) -> tf.data.Dataset:
        return source.read(name).batch(batch_images).map(lambda records: (number, records))

    def decode(number: tf.Tensor, records: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return number, source.decode(records)

    batches = numbered.flat_map(read_shard)
    return parallel_map(batches, decode)


def _compute(
    extractor: keras.Model,
    batches: Iterator[ImageBatch],
    batch_images: int,
    count: Callable[[int], None],
) -> Iterator[FeatureBatch]:
    for images, labels in batches:
        # XLA would compile again for a smaller batch.
        missing = batch_images - len(images) if extractor.jit_compile else 0
        whole = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
        features = np.asarray(extractor.predict_on_batch(whole), np.float32)
        yield features[: len(images)], labels
        count(len(images))
