"""A dataset's features into a store, by a worker over every shard, on any Beam runner.

plan_features   what can be said before Keras is loaded
featurize       the base and its weights, every shard that is missing, the manifest last

A worker that extracts the features of one shard, in whatever process it finds itself.

Its base's weights lie in the store's work folder, put there by who started it: so all workers have
the same ones, wherever those came from.
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
from records.errors import CorruptDataError, UsageError
from records.format.layout import WORK_FOLDER
from records.storage import absolute_location, open_storage
from trainers.backend import start_backend
from trainers.config import Architecture
from trainers.features.manifest import FeatureType
from trainers.features.store import FeatureStore
from trainers.input.image_size import resolve_image_size
from trainers.input.selection import check_shards, select_split
from trainers.models import find_model
from trainers.options import Pixels, Pooling, Positive

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from records.dataset import Dataset
    from records.format.manifest import ShardInfo
    from records.runtime.shard_worker import OnProgress, RunnerConfig
    from records.storage import Storage
    from trainers.config import Architecture
    from trainers.features.manifest import FeatureSpec
    from trainers.features.store import FeatureStore
    from trainers.jobs import ShardExecutor


_SEED = 0


class FeaturizeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an extraction is asked to do, by the names of the flags.

    Args:
        model: the base, a name in `trainers.models.MODELS`.
        weights: its weights: `imagenet`, `none`, or a file.
        image_size: (height, width) in pixels; None leaves it to the dataset and the model.
        pooling: how the base's last feature map becomes features.
        dtype: what they are kept as.
        batch_size: images computed at a time.
    """

    model: str
    weights: str = "imagenet"
    image_size: tuple[Pixels, Pixels] | None = None
    pooling: Pooling = "avg"
    dtype: FeatureType = "float16"
    batch_size: Positive = 32


class FeaturizeReport(msgspec.Struct, frozen=True):
    """What `featurize --json` prints.

    `images` and `shards` are those of the whole store, `shards_kept` those that were there.
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


@dataclass(frozen=True)
class FeaturePlan:
    """An extraction, decided as far as it can be without Keras."""

    location: str
    out: str
    dataset: Dataset
    shards: tuple[ShardInfo, ...]
    architecture: Architecture
    options: FeaturizeOptions

    @property
    def images(self) -> int:
        """How many records there are."""
        return sum(shard.records for shard in self.shards)


def plan_features(location: str, out: str, options: FeaturizeOptions) -> FeaturePlan:
    """Decide an extraction from the dataset at `location` into the store `out`.

    Raises:
        UsageError: the model has no base, or cannot be fed such images.
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: the dataset is damaged as far as names and sizes of its files tell.
    """
    spec = find_model(options.model)
    if not spec.has_backbone:
        raise UsageError(
            "this model has no base that features could be taken from",
            got=options.model,
            hint="choose a model of keras.applications, such as mobilenet_v2",
        )
    dataset = open_dataset(location)
    training = select_split(dataset, "train")
    check_shards(dataset, *(select_split(dataset, split) for split in dataset if dataset[split]))
    shape = resolve_image_size(dataset, training, options.image_size, spec)
    shards = tuple(s for facts in dataset.manifest.splits.values() for s in facts.shards)
    architecture = Architecture(
        options.model, shape, classes=len(dataset.labels), pooling=options.pooling
    )
    return FeaturePlan(
        absolute_location(location), absolute_location(out), dataset, shards, architecture, options
    )


def featurize(
    plan: FeaturePlan,
    executor: ShardExecutor,
    runner: RunnerConfig,
    *,
    dry_run: bool,
    on_progress: OnProgress,
) -> FeaturizeReport:
    """Extract what is missing of a store, and publish it. Keras is started already.

    Raises:
        InputNotFoundError: there are no such weights.
        UsageError: the weights do not fit, or the features do not.
        OutputError: the store cannot be written, or another one is there.
        LockedError: another process is writing there.
        CorruptDataError: a record is damaged.
        StorageError: storage failed after retries.
    """
    from trainers.features.extract import make_spec
    from trainers.features.store import FeatureStore

    started_at = time.monotonic()
    extractor = _build_extractor(plan)
    spec = make_spec(plan.dataset, extractor, plan.architecture, plan.options.dtype)
    store = FeatureStore(open_storage(plan.out), spec, plan.shards)
    if store.is_finished():
        return _report(plan, store, "nothing-to-do", kept=len(plan.shards))
    if dry_run:
        return _report(plan, store, "planned", kept=0)
    with store.storage.lock() as hold:
        # Another process may have finished it between the look and the lock.
        if store.is_finished():
            return _report(plan, store, "nothing-to-do", kept=len(plan.shards))
        missing = store.prepare()
        if missing:
            stage_weights(extractor, store.storage)
            worker = FeatureWorker(
                plan.location, plan.out, spec, plan.architecture, plan.options.batch_size
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
        store.finish()
    kept = len(plan.shards) - len(missing)
    report = _report(plan, store, "featurized", kept=kept)
    return msgspec.structs.replace(report, seconds=round(time.monotonic() - started_at, 3))


def _build_extractor(plan: FeaturePlan) -> keras.Model:
    import keras

    from trainers.features.extract import get_extractor
    from trainers.models.build import build_network
    from trainers.models.pretrained import load_backbone

    # Random weights too are the same in every run, so that it can be gone on with.
    keras.utils.set_random_seed(_SEED)
    network = build_network(plan.architecture)
    if plan.options.weights != "none":
        load_backbone(network, plan.options.model, plan.options.weights)
    return get_extractor(network, plan.options.model)


def _report(
    plan: FeaturePlan,
    store: FeatureStore,
    status: Literal["featurized", "nothing-to-do", "planned"],
    *,
    kept: int,
) -> FeaturizeReport:
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
    )


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
            CorruptDataError: a record is damaged.
            UsageError: the features do not fit their type, or are no numbers.
            OutputError: the store cannot be written.
            StorageError: storage failed after retries.
        """
        with _ONE_AT_A_TIME:
            return self._extract(name, count)

    def _extract(self, name: str, count: Callable[[int], None]) -> dict[str, Any]:
        extractor = _open_extractor(self)

        from trainers.features.extract import extract_features, whole_shard
        from trainers.input.bad_records import locate_bad_records
        from trainers.input.pipeline import ShardSource

        dataset = open_dataset(self.dataset)
        shards = (shard for facts in dataset.manifest.splits.values() for shard in facts.shards)
        shard = next(shard for shard in shards if shard.name == name)
        store = FeatureStore(open_storage(self.store), self.spec, (shard,))
        if store.has(shard):
            count(shard.records)
        else:
            source = ShardSource.from_dataset(dataset, self.architecture.shape)
            with locate_bad_records(dataset, whole_shard(shard), on_message=lambda _: None):
                extract_features(
                    extractor, source, (shard,), store, count=count, batch_images=self.batch_images
                )
        return {"records": shard.records}


def stage_weights(extractor: keras.Model, store: Storage) -> None:
    """Put an extractor's weights where workers look for them."""
    content = io.BytesIO()
    np.savez(content, *(weight.numpy() for weight in extractor.weights))
    store.replace(_WEIGHTS, content.getvalue())


@functools.cache
def _open_extractor(worker: FeatureWorker) -> keras.Model:
    """The extractor with its weights, once in a process."""
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
            "the weights that workers are to use are not those of the store",
            path=storage.display_name(_WEIGHTS),
            expected=worker.spec.weights,
            got=digest,
        )
    return extractor
