"""Features as training input: loaded from a store, or extracted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import InputNotFoundError
from records.storage import COPY_STEP_BYTES, open_storage
from records.storage.local import LocalStorage
from trainers.cache_dir import cache_dir, writing_cache
from trainers.config import DECODER
from trainers.features.extract import extract_intact, get_extractor, make_spec
from trainers.features.manifest import check_fits, read_manifest, require_few_skipped
from trainers.features.store import FeatureRangeError, FeatureStore, wait_for_lock
from trainers.input.tensor_files import array_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from records.dataset import Dataset
    from records.format.manifest import ShardInfo
    from records.storage import Storage
    from trainers.config import Architecture
    from trainers.features.manifest import FeatureSpec
    from trainers.input.selection import Selection
    from trainers.input.tensor_files import ArraySource
    from trainers.models.build import Network

    OnMessage = Callable[[str], None]
    OnProgress = Callable[[int, int], None]
    Fill = Callable[[FeatureStore, tuple[ShardInfo, ...]], None]


def load_or_extract(
    dataset: Dataset,
    selections: Iterable[Selection],
    network: Network,
    architecture: Architecture,
    *,
    store: str | None,
    skip_bad: int = 0,
    on_message: OnMessage,
    on_progress: OnProgress | None = None,
    decoder: int = DECODER,
) -> ArraySource:
    """Return the features of all records in the shards of some selections.

    The damaged records of a named store, and up to `skip_bad` other damaged records, have no
    features: they are in `skipped` of the result.

    Without a named store, the features are cached in `$XDG_CACHE_HOME/shardmill/features`: as
    float16, or as float32 if a feature is too large for float16.

    Args:
        dataset: the dataset that contains the images.
        selections: the selections whose shards are stored, each shard completely.
        network: a network with an extractor and its weights.
        architecture: the architecture of the network.
        store: the location of a store from `featurize`, a folder or a URL; None means the cache.
        skip_bad: the maximum number of damaged records, unless the store is named.
        decoder: the version of the decoder, see `trainers.config.DECODER`.
        on_message: a function that is called with each line for the user.
        on_progress: a function that is called with the number of finished images and the number
            of all images.

    Raises:
        UsageError: the named store was made for a different dataset, network or image size, or a
            feature is NaN or infinite.
        InputNotFoundError: the named store does not exist, or is not finished.
        CorruptDataError: more than `skip_bad` records, or a file of the store, are damaged.
        OutputError: the features cannot be written.
    """
    extractor = get_extractor(network, architecture.model)
    shards = tuple(dict.fromkeys(shard for part in selections for shard in part.shards))
    spec = make_spec(dataset, extractor, architecture, "float16", decoder)
    if store is not None:
        return _open_named(open_storage(store), spec, shards, on_message)

    def extract(target: FeatureStore, missing: tuple[ShardInfo, ...]) -> None:
        extract_intact(
            extractor,
            dataset,
            architecture.shape,
            missing,
            target,
            skip_bad=skip_bad,
            on_message=on_message,
            count=_sum_progress(missing, on_progress),
        )

    exact = _cached_store(msgspec.structs.replace(spec, dtype="float32"), shards)
    if exact.is_finished():
        return _complete(exact, extract, on_message, skip_bad)
    half = _cached_store(spec, shards)
    try:
        return _complete(half, extract, on_message, skip_bad)
    except FeatureRangeError:
        on_message("a feature is too large for float16: storing float32")
        return _complete(exact, extract, on_message, skip_bad)


def _open_named(
    storage: Storage, wanted: FeatureSpec, shards: tuple[ShardInfo, ...], on_message: OnMessage
) -> ArraySource:
    manifest = read_manifest(storage)
    if manifest is None:
        raise InputNotFoundError(
            "not a finished feature store",
            path=storage.url,
            hint="create or resume the store with `shardmill featurize`",
        )
    check_fits(manifest, wanted, shards, path=storage.url)
    named = FeatureStore(storage, manifest.spec, shards)
    if storage.is_local:
        return named.open()

    def copy(target: FeatureStore, missing: tuple[ShardInfo, ...]) -> None:
        on_message(f"copying features from {storage.url}")
        target.write_skipped(manifest.skipped)
        for shard in missing:
            _copy_file(storage, target.storage, array_name(shard.name))

    cached = _cached_store(manifest.spec, shards)
    return _complete(cached, copy, on_message, skip_bad=len(manifest.skipped))


def _copy_file(source: Storage, target: Storage, name: str) -> None:
    with source.open(name) as stream, target.create(name) as staged:
        while block := stream.read(COPY_STEP_BYTES):
            staged.write(block)


def _cached_store(spec: FeatureSpec, shards: tuple[ShardInfo, ...]) -> FeatureStore:
    """Return the store of these features in the cache of this machine."""
    below = cache_dir("features")
    store = FeatureStore(LocalStorage(str(below)), spec, shards)
    return FeatureStore(LocalStorage(str(below / store.key)), spec, shards)


def _complete(store: FeatureStore, fill: Fill, on_message: OnMessage, skip_bad: int) -> ArraySource:
    """Return the records of a store, and first fill the store if it is not finished."""
    if store.is_finished():
        on_message(f"features are kept in {store.storage.url}")
    else:
        with (
            writing_cache(cache_dir("features"), "the cache of features"),
            wait_for_lock(store.storage, on_message),
        ):
            # Another process may have finished the store before this process got the lock.
            if not store.is_finished():
                _fill(store, fill, on_message)
    require_few_skipped(store.skipped, skip_bad, path=store.storage.url)
    return store.open()


def _fill(store: FeatureStore, fill: Fill, on_message: OnMessage) -> None:
    missing = store.prepare()
    on_message(f"keeping features in {store.storage.url}")
    try:
        fill(store, missing)
    except FeatureRangeError:
        store.discard()
        raise
    store.finish()


def _sum_progress(
    shards: tuple[ShardInfo, ...], on_progress: OnProgress | None
) -> Callable[[int], None]:
    """Return a function that adds up the images of batches and reports the sum."""
    total = sum(shard.records for shard in shards)
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        if on_progress is not None:
            on_progress(done, total)

    return count
