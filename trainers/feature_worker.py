"""A worker that extracts the features of one shard, in whatever process it finds itself.

Its base's weights lie in the store's work folder, put there by who started it: so all workers have
the same ones, wherever those came from.
"""

from __future__ import annotations

import functools
import io
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from records.dataset import open_dataset
from records.errors import DamagedError
from records.layout import WORK_FOLDER
from records.storage import open_storage
from trainers.devices import start_backend
from trainers.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from records.storage import Storage
    from trainers.config import Architecture
    from trainers.feature_manifest import FeatureSpec

_WEIGHTS = f"{WORK_FOLDER}/base.npz"
# A runner may do several shards at a time in a process; one keeps all its cores busy.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class FeatureWorker:
    """Extracts the features of a shard, unless they are there.

    Args:
        dataset: where the images are, as every worker can reach it.
        store: where the features go, likewise.
        spec: what they are.
        architecture: of the network whose extractor gives them.
        batch_images: computed at a time.
    """

    dataset: str
    store: str
    spec: FeatureSpec
    architecture: Architecture
    batch_images: int

    def __call__(self, name: str, count: Callable[[int], None], /) -> dict[str, Any]:
        """Do the shard of that name.

        Raises:
            DamagedError: a record is damaged.
            UsageError: the features do not fit their type, or are no numbers.
            TargetError: the store cannot be written.
            StorageError: storage failed after retries.
        """
        with _ONE_AT_A_TIME:
            return self._extract(name, count)

    def _extract(self, name: str, count: Callable[[int], None]) -> dict[str, Any]:
        extractor = _open_extractor(self)

        from trainers.damage import naming_damage
        from trainers.extractor import extract_features, whole_shard
        from trainers.input import ShardSource

        dataset = open_dataset(self.dataset)
        shards = (shard for facts in dataset.manifest.splits.values() for shard in facts.shards)
        shard = next(shard for shard in shards if shard.name == name)
        store = FeatureStore(open_storage(self.store), self.spec, (shard,))
        if store.has(shard):
            count(shard.records)
        else:
            source = ShardSource.of(dataset, self.architecture.shape)
            with naming_damage(dataset, whole_shard(shard), say=lambda _: None):
                extract_features(
                    extractor, source, (shard,), store, count=count, batch_images=self.batch_images
                )
        return {"records": shard.records}


def publish_weights(extractor: keras.Model, store: Storage) -> None:
    """Put an extractor's weights where workers look for them."""
    content = io.BytesIO()
    np.savez(content, *(weight.numpy() for weight in extractor.weights))
    store.replace(_WEIGHTS, content.getvalue())


@functools.cache
def _open_extractor(worker: FeatureWorker) -> keras.Model:
    """The extractor with its weights, once in a process."""
    start_backend()

    from trainers.extractor import digest_weights, extractor_of
    from trainers.models.network import build_network

    storage = open_storage(worker.store)
    with np.load(io.BytesIO(storage.read(_WEIGHTS)), allow_pickle=False) as arrays:
        extractor = extractor_of(build_network(worker.architecture), worker.architecture.model)
        extractor.set_weights([arrays[name] for name in arrays.files])
    digest = digest_weights(extractor)
    if digest != worker.spec.weights:
        raise DamagedError(
            "the weights that workers are to use are not those of the store",
            path=storage.describe(_WEIGHTS),
            expected=worker.spec.weights,
            got=digest,
        )
    return extractor
