"""Extraction of dataset features to a store, on any runner.

featurize       runs the backbone on every missing shard, and writes the manifest last
FeatureWorker   extracts the features of one shard, in any process

The process that starts the job writes the weights of the backbone to the work folder of the store,
so that all workers use the same weights.
"""

from __future__ import annotations

import functools
import io
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from records.dataset import open_dataset
from records.errors import CorruptDataError
from records.format.layout import WORK_FOLDER
from records.storage import open_storage
from trainers.backend import start_backend
from trainers.config import Architecture
from trainers.features.manifest import require_few_skipped
from trainers.features.store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from records.runtime.shard_worker import OnProgress, RunnerConfig
    from records.storage import Storage
    from trainers.features.manifest import FeatureSpec
    from trainers.features.plan import FeaturePlan
    from trainers.jobs import ShardExecutor


class FeaturizeReport(msgspec.Struct, frozen=True):
    """The result of `featurize`, and its JSON output.

    `images` and `shards` count the whole store; `shards_kept` counts the shards whose features the
    store already contained. `damaged_records` counts the records without features, which the
    manifest of the store names.
    """

    status: Literal["featurized", "nothing-to-do", "planned"]
    store: str
    key: str
    model: str
    images: int
    shards: int
    shards_kept: int
    features: int
    dtype: str
    bytes: int
    seconds: float
    damaged_records: int = 0


def featurize(
    plan: FeaturePlan,
    executor: ShardExecutor,
    runner: RunnerConfig,
    *,
    dry_run: bool,
    on_progress: OnProgress,
) -> FeaturizeReport:
    """Extract the missing features of a store, and finish the store.

    Raises:
        InputNotFoundError: the weights were not found.
        UsageError: the weights do not fit the model, or a feature is too large for its type, NaN or
            infinite.
        OutputError: the store cannot be written, or the folder contains something other than these
            features.
        LockedError: another process writes to the store.
        CorruptDataError: more records are damaged than the option `skip_bad` allows.
        StorageError: storage failed after retries.
    """
    from trainers.features.extract import build_extractor_network, get_extractor, make_spec

    started_at = time.monotonic()
    network = build_extractor_network(plan.architecture, plan.options.source_of_weights)
    extractor = get_extractor(network, plan.options.model)
    spec = make_spec(plan.dataset, extractor, plan.architecture, plan.options.dtype)
    store = FeatureStore(open_storage(plan.out), spec, plan.shards)
    if store.is_finished():
        return _report(plan, store, "nothing-to-do", kept=len(plan.shards))
    if dry_run:
        return _report(plan, store, "planned", kept=0)
    with store.storage.lock() as hold:
        # Another process may have finished the store before this process got the lock.
        if store.is_finished():
            return _report(plan, store, "nothing-to-do", kept=len(plan.shards))
        missing = store.prepare()
        if missing:
            stage_weights(extractor, store.storage)
            worker = FeatureWorker(
                plan.location,
                plan.out,
                spec,
                plan.architecture,
                plan.options.batch_size,
                plan.options.skip_bad,
            )
            executor.map_shards(
                worker,
                [shard.name for shard in missing],
                plan.out,
                runner,
                images=sum(shard.records for shard in missing),
                on_progress=on_progress,
            )
        hold.ensure_held()
        # Each worker has checked only the records that were known to it.
        require_few_skipped(store.skipped, plan.options.skip_bad, path=store.storage.url)
        store.finish()
    kept = len(plan.shards) - len(missing)
    report = _report(plan, store, "featurized", kept=kept)
    return msgspec.structs.replace(report, seconds=round(time.monotonic() - started_at, 3))


def _report(
    plan: FeaturePlan,
    store: FeatureStore,
    status: Literal["featurized", "nothing-to-do", "planned"],
    *,
    kept: int,
) -> FeaturizeReport:
    skipped = store.skipped if status != "planned" else ()
    require_few_skipped(skipped, plan.options.skip_bad, path=store.storage.url)
    return FeaturizeReport(
        status=status,
        store=store.storage.url,
        key=store.key,
        model=plan.options.model,
        images=plan.images,
        shards=len(plan.shards),
        shards_kept=kept,
        features=store.spec.features,
        dtype=store.spec.dtype,
        bytes=store.size_bytes,
        seconds=0.0,
        damaged_records=len(skipped),
    )


_WEIGHTS = f"{WORK_FOLDER}/base.npz"
# A runner may process several shards per process; one shard uses all cores.
_EXTRACTION_LOCK = threading.Lock()


@dataclass(frozen=True)
class FeatureWorker:
    """Extracts the features of a shard, unless the store has them.

    Args:
        dataset: the location of the dataset, which every worker can reach.
        store: the location of the store, which every worker can reach.
        spec: the specification of the features.
        architecture: the architecture of the network that contains the extractor.
        batch_images: the number of images per batch.
        skip_bad: the maximum number of damaged records in the store.
    """

    dataset: str
    store: str
    spec: FeatureSpec
    architecture: Architecture
    batch_images: int
    skip_bad: int = 0

    def __call__(self, name: str, count: Callable[[int], None], /) -> dict[str, Any]:
        """Process the shard with this name.

        Raises:
            CorruptDataError: more records are damaged than `skip_bad` allows.
            UsageError: a feature is too large for its type, NaN or infinite.
            OutputError: the store cannot be written.
            StorageError: storage failed after retries.
        """
        with _EXTRACTION_LOCK:
            return self._extract(name, count)

    def _extract(self, name: str, count: Callable[[int], None]) -> dict[str, Any]:
        extractor = _open_extractor(self)

        from trainers.features.extract import extract_intact

        dataset = open_dataset(self.dataset)
        shards = (shard for facts in dataset.manifest.splits.values() for shard in facts.shards)
        shard = next(shard for shard in shards if shard.name == name)
        store = FeatureStore(open_storage(self.store), self.spec, (shard,))
        if store.has(shard):
            count(shard.records)
        else:
            extract_intact(
                extractor,
                dataset,
                self.architecture.shape,
                (shard,),
                store,
                skip_bad=self.skip_bad,
                on_message=lambda _: None,
                count=count,
                batch_images=self.batch_images,
            )
        return {"records": shard.records}


def stage_weights(extractor: keras.Model, store: Storage) -> None:
    """Write the weights of an extractor to the work folder, from which the workers read them."""
    content = io.BytesIO()
    np.savez(content, *(weight.numpy() for weight in extractor.weights))
    store.replace(_WEIGHTS, content.getvalue())


@functools.cache
def _open_extractor(worker: FeatureWorker) -> keras.Model:
    """Return the extractor with its weights, loaded once per process."""
    start_backend()

    from trainers.features.extract import digest_weights, get_extractor
    from trainers.models.build import build_network

    storage = open_storage(worker.store)
    with np.load(io.BytesIO(storage.read(_WEIGHTS)), allow_pickle=False) as arrays:
        extractor = get_extractor(build_network(worker.architecture), worker.architecture.model)
        extractor.set_weights([arrays[name] for name in arrays.files])
    digest = digest_weights(extractor)
    if digest != worker.spec.weights:
        raise CorruptDataError(
            "the weights for the workers are not the weights that the job started with",
            path=storage.display_name(_WEIGHTS),
            expected=worker.spec.weights,
            got=digest,
        )
    return extractor
