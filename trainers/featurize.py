"""A dataset's features into a store, by a worker over every shard, on any Beam runner.

plan_features   what can be said before Keras is loaded
featurize       the base and its weights, every shard that is missing, the manifest last
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from records.dataset import open_dataset
from records.errors import UsageError
from records.storage import absolute_location, open_storage
from trainers.config import Architecture
from trainers.feature_manifest import FeatureType
from trainers.image_shape import choose_shape
from trainers.models import find_model
from trainers.options import Pixels, Pooling, Positive
from trainers.plan import check_shards
from trainers.selection import select_split
from trainers.services import Runner

if TYPE_CHECKING:
    import keras

    from records.dataset import Dataset
    from records.manifest import Shard
    from trainers.features import FeatureStore
    from trainers.services import OnProgress, Services

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
    shards: tuple[Shard, ...]
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
        NoInputError: there is no finished dataset.
        DamagedError: the dataset is damaged as far as names and sizes of its files tell.
    """
    spec = find_model(options.model)
    if not spec.has_base:
        raise UsageError(
            "this model has no base that features could be taken from",
            got=options.model,
            hint="choose a model of keras.applications, such as mobilenet_v2",
        )
    dataset = open_dataset(location)
    training = select_split(dataset, "train")
    check_shards(dataset, *(select_split(dataset, split) for split in dataset if dataset[split]))
    shape = choose_shape(dataset, training, options.image_size, spec)
    shards = tuple(s for facts in dataset.manifest.splits.values() for s in facts.shards)
    architecture = Architecture(
        options.model, shape, classes=len(dataset.labels), pooling=options.pooling
    )
    return FeaturePlan(
        absolute_location(location), absolute_location(out), dataset, shards, architecture, options
    )


def featurize(
    plan: FeaturePlan,
    services: Services,
    runner: Runner,
    *,
    dry_run: bool,
    on_progress: OnProgress,
) -> FeaturizeReport:
    """Extract what is missing of a store, and publish it. Keras is started already.

    Raises:
        NoInputError: there are no such weights.
        UsageError: the weights do not fit, or the features do not.
        TargetError: the store cannot be written, or another one is there.
        BusyError: another process is writing there.
        DamagedError: a record is damaged.
        StorageError: storage failed after retries.
    """
    from trainers.extractor import make_spec
    from trainers.feature_worker import FeatureWorker, publish_weights
    from trainers.features import FeatureStore

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
            publish_weights(extractor, store.storage)
            worker = FeatureWorker(
                plan.location, plan.out, spec, plan.architecture, plan.options.batch_size
            )
            services.over_shards(
                worker,
                [shard.name for shard in missing],
                plan.out,
                runner,
                images=sum(shard.records for shard in missing),
                on_progress=on_progress,
            )
        hold.confirm()
        store.finish()
    kept = len(plan.shards) - len(missing)
    report = _report(plan, store, "featurized", kept=kept)
    return msgspec.structs.replace(report, seconds=round(time.monotonic() - started_at, 3))


def _build_extractor(plan: FeaturePlan) -> keras.Model:
    import keras

    from trainers.extractor import extractor_of
    from trainers.models.network import build_network
    from trainers.models.pretrained import load_base

    # Random weights too are the same in every run, so that it can be gone on with.
    keras.utils.set_random_seed(_SEED)
    network = build_network(plan.architecture)
    if plan.options.weights != "none":
        load_base(network, plan.options.model, plan.options.weights)
    return extractor_of(network, plan.options.model)


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
