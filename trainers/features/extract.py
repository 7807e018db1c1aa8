"""Extraction of the features of every image of some shards."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import xxhash

from records.errors import UsageError
from records.strict_json import encode_canonical
from trainers.config import DECODER
from trainers.features.manifest import FeatureSpec, SkippedRecord
from trainers.input.bad_records import TF_READ_ERRORS, SkippedRecords, locate_bad_records
from trainers.input.parallelism import parallel_map
from trainers.input.pipeline import ShardSource, keep_selected
from trainers.input.selection import Selection
from trainers.models.registry import HUB_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import keras
    from numpy.typing import NDArray

    from records.dataset import Dataset
    from records.format.manifest import ShardInfo
    from trainers.config import Architecture, ImageShape
    from trainers.features.store import FeatureBatch, FeatureStore
    from trainers.input.pipeline import RecordSource
    from trainers.input.tensor_files import ArrayFormat
    from trainers.models.build import Network
    from trainers.options import FeatureType

_SEED = 0
_BATCH_IMAGES = 32  # with MobileNetV2 on a CPU, 16 and 64 take the same time per image

ImageBatch = tuple["NDArray[np.uint8]", "NDArray[np.int64]"]
"""Images (batch, height, width, channels) and labels (batch,)."""


def build_extractor_network(architecture: Architecture, weights: str) -> Network:
    """Return a network whose backbone has weights: `imagenet`, `none`, or those of a file or run.

    Raises:
        InputNotFoundError, UsageError, CorruptDataError: as `load_backbone`.
    """
    import keras

    from trainers.models.build import build_network
    from trainers.models.pretrained import load_backbone

    # Random weights are the same in every process, so that a run can be resumed.
    keras.utils.set_random_seed(_SEED)
    network = build_network(architecture)
    if weights != "none":
        load_backbone(network, architecture.model, weights)
    return network


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
    dataset: Dataset,
    extractor: keras.Model,
    architecture: Architecture,
    dtype: FeatureType,
    decoder: int = DECODER,
) -> FeatureSpec:
    """Return the specification of the features that an extractor computes from a dataset."""
    return FeatureSpec(
        model=_name_backbone(architecture),
        weights=digest_weights(extractor),
        shape=architecture.shape,
        pooling=architecture.pooling,
        dtype=dtype,
        features=extractor.output_shape[-1],
        images=dataset.manifest.settings.images,
        decoder=decoder,
        multi_hot=len(dataset.labels) if dataset.is_multi_label else 0,
    )


def _name_backbone(architecture: Architecture) -> str:
    """Return the name of a model; of a preset, its backbone, because the preset may change."""
    if architecture.backbone is None:
        return architecture.model
    digest = xxhash.xxh3_128_hexdigest(encode_canonical(architecture.backbone))
    return f"{HUB_PREFIX}{architecture.backbone.class_name}/{digest}"


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


def extract_intact(
    extractor: keras.Model,
    dataset: Dataset,
    shape: ImageShape,
    shards: Sequence[ShardInfo],
    store: FeatureStore,
    *,
    skip_bad: int,
    on_message: Callable[[str], None],
    count: Callable[[int], None],
    batch_images: int = _BATCH_IMAGES,
) -> None:
    """Write the features of some shards; a damaged record gets a row of zeros, with the label -1.

    Args:
        extractor: as in `extract_features`.
        dataset: the dataset of the shards.
        shape: the shape of the images that the extractor receives.
        shards: as in `extract_features`.
        store: as in `extract_features`.
        skip_bad: the maximum number of damaged records in the whole store.
        on_message: called with each line that the user should read.
        count: as in `extract_features`.
        batch_images: as in `extract_features`.

    Raises:
        CorruptDataError: more records are damaged than `skip_bad` allows.
        ShardmillError: see `FeatureStore.write`.
    """
    known = {(record.shard, record.record): record for record in store.skipped}
    selections = tuple(map(whole_shard, shards))
    bad = SkippedRecords(dataset, selections, skip_bad, on_message=on_message, skipped=known)
    count_once, images = _CountOnce(count), sum(shard.records for shard in shards)
    with locate_bad_records(dataset, *selections, on_message=on_message):
        while True:
            missing = [shard for shard in shards if not store.has(shard)]
            count_once.restart(images - sum(shard.records for shard in missing))
            decoder = store.spec.decoder
            source = ShardSource.from_dataset(dataset, shape, bad.shards, decoder=decoder)
            try:
                extract_features(
                    extractor,
                    source,
                    missing,
                    store,
                    count=count_once,
                    skipped=bad.records,
                    batch_images=batch_images,
                )
            except TF_READ_ERRORS as error:
                for found in bad.add_damaged(error):
                    place = found.shard, found.number
                    known[place] = SkippedRecord(*place, found.key)
                store.write_skipped(known.values())
            else:
                break
    count_once.restart(images)
    count_once(0)  # the skipped records


class _CountOnce:
    """Counts images, but none a second time that an earlier attempt has counted."""

    def __init__(self, count: Callable[[int], None]) -> None:
        self._count = count
        self._counted = self._done = 0

    def restart(self, done: int) -> None:
        """Start an attempt; the shards with the first `done` images are finished."""
        self._done = done

    def __call__(self, images: int) -> None:
        """Count the images of a batch."""
        self._done += images
        new = self._done - self._counted
        if new > 0:
            self._counted = self._done
            self._count(new)


def extract_features(
    extractor: keras.Model,
    source: RecordSource,
    shards: Sequence[ShardInfo],
    store: FeatureStore,
    *,
    count: Callable[[int], None],
    skipped: Collection[tuple[str, int]] = (),
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
        skipped: the records that get a row of zeros with the label -1, as (shard name, record
            number).
        batch_images: the number of images per batch.

    Raises:
        tf.errors.OpError: a record is damaged.
        ShardmillError: see `FeatureStore.write`.
    """
    chosen = [whole_shard(shard).excluding(skipped).shard_masks[0] for shard in shards]
    batch_images = min(batch_images, max(map(len, chosen), default=1))
    # A shard without intact records yields no batch, and would be missing in the loop below.
    for shard, mask in zip(shards, chosen, strict=True):
        if not mask.any():
            store.write(shard, fill_gaps(iter(()), mask, store.spec.format))
    batches = _read_shards(source, shards, chosen, batch_images).as_numpy_iterator()
    for number, group in groupby(batches, key=lambda batch: int(batch[0])):
        images = (batch for _, batch in group)
        features = _compute(extractor, images, batch_images, count)
        store.write(shards[number], fill_gaps(features, chosen[number], store.spec.format))


def _read_shards(
    source: RecordSource,
    shards: Sequence[ShardInfo],
    chosen: Sequence[NDArray[np.bool_]],
    batch_images: int,
) -> tf.data.Dataset:
    """Return batches of one shard each, with the shard number, prefetched across shards."""
    names = tf.constant([shard.name for shard in shards], tf.string)
    numbered = tf.data.Dataset.from_tensor_slices(names).enumerate()
    is_whole = all(mask.all() for mask in chosen)
    ends = np.cumsum([0, *map(len, chosen)])

    def read_shard(number: tf.Tensor, name: tf.Tensor) -> tf.data.Dataset:
        records = source.read(name)
        if not is_whole:
            bounds = tf.constant(ends)[number], tf.constant(ends)[number + 1]
            records = keep_selected(records, tf.constant(np.concatenate(chosen))[slice(*bounds)])
        return records.batch(batch_images).map(lambda records: (number, records))

    def decode(number: tf.Tensor, records: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return number, source.decode(records)

    batches = numbered.flat_map(read_shard)
    return parallel_map(batches, decode)


def fill_gaps(
    batches: Iterator[FeatureBatch], chosen: NDArray[np.bool_], stored: ArrayFormat
) -> Iterator[FeatureBatch]:
    """Insert a row of zeros for each record that is not chosen, bool (records,).

    The label of these rows is -1, or they have no labels.

    Args:
        batches: the features and labels of the chosen records, in order.
        chosen: the records of the shard that are chosen.
        stored: the format of the records.
    """
    # For each gap, the number of chosen records before it.
    gaps = np.cumsum(chosen)[~chosen]
    first = 0
    for values, labels in batches:
        end = first + len(labels)
        here = gaps[(first <= gaps) & (gaps < end)] - first
        yield (
            np.insert(values, here, 0, axis=0),
            np.insert(labels, here, stored.missing_labels(len(here)), axis=0),
        )
        first = end
    last = int((gaps >= first).sum())
    if last:
        yield np.zeros((last, *stored.shape), np.float32), stored.missing_labels(last)


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
