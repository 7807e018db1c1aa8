"""A base run over every image of some shards once, and what it gives written into a store."""

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
    from trainers.features.manifest import FeatureType
    from trainers.features.store import FeatureBatch, FeatureStore
    from trainers.input.pipeline import RecordSource
    from trainers.models.build import Network

_BATCH_IMAGES = 32  # with MobileNetV2 on a CPU, 16 and 64 take as long an image

ImageBatch = tuple["NDArray[np.uint8]", "NDArray[np.int64]"]
"""Images (batch, height, width, channels) and labels (batch,)."""


def get_extractor(network: Network, model: str) -> keras.Model:
    """The extractor of a network. Raises UsageError where the model has none."""
    if network.extractor is None:
        raise UsageError(
            "this model has no base that features could be taken from",
            got=model,
            hint="choose a model of keras.applications, such as mobilenet_v2",
        )
    return network.extractor


def make_spec(
    dataset: Dataset, extractor: keras.Model, architecture: Architecture, dtype: FeatureType
) -> FeatureSpec:
    """What the features of a dataset's records under an extractor follow from."""
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
    """The xxh3-128 over all weights in their order, by name, shape, type and bytes."""
    digest = xxhash.xxh3_128()
    for weight in model.weights:
        array = np.ascontiguousarray(weight.numpy())
        # Not the path: Keras numbers layers by how many a process has made.
        digest.update(f"{weight.name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return str(digest.hexdigest())


def whole_shard(shard: ShardInfo) -> Selection:
    """All records of a shard, whichever split it is of."""
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
    """Write the features of every record of some shards into a store, one shard after another.

    Args:
        extractor: uint8 (batch, *shape) to features (batch, features).
        source: the records.
        shards: those that the store has not got yet.
        store: held by this process.
        count: called with the images of each batch; what it raises ends the extraction.
        batch_images: computed at a time.

    Raises:
        tf.errors.OpError: a record is damaged.
        ShardmillError: see `FeatureStore.write`.
    """
    # An empty shard gives no batch that would tell of it.
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
    """Batches of one shard each, with its number: read and decoded ahead over a shard's end."""
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
        # What is compiled for the shape of a batch is compiled anew for a smaller one.
        missing = batch_images - len(images) if extractor.jit_compile else 0
        whole = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
        features = np.asarray(extractor.predict_on_batch(whole), np.float32)
        yield features[: len(images)], labels
        count(len(images))
