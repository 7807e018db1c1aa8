"""Plan of a feature extraction: every decision that does not need Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from records.arguments import NotNegative, Positive
from records.dataset import open_dataset
from records.errors import UsageError
from records.storage import absolute_location
from records.storage.exclusive import require_outside
from trainers.config import Architecture
from trainers.input.image_size import resolve_image_size
from trainers.input.selection import check_shards, select_split
from trainers.models import find_model
from trainers.models.hub.preset import resolve_preset
from trainers.models.weights_path import pretrained_weights, require_weights
from trainers.options import FeatureType, Pixels, Pooling

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.format.manifest import ShardInfo
    from trainers.models import ModelSpec


class FeaturizeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of an extraction; each field has the name of its flag.

    Attributes:
        model: the backbone, a name in `trainers.models.MODELS`.
        weights: the weights of the backbone: `imagenet`, `none`, a weights file or a run folder;
            None means `imagenet`, or the weights of the preset.
        image_size: (height, width) in pixels; None means the size of the dataset if it has one (see
            `resolve_image_size`), otherwise the default input size of the model.
        pooling: the pooling of the backbone's feature map: avg, max or flatten.
        dtype: the data type of the stored features.
        batch_size: the number of images per batch.
        skip_bad: the maximum number of damaged records that get no features; with more, the
            extraction fails.
    """

    model: str
    weights: str | None = None
    image_size: tuple[Pixels, Pixels] | None = None
    pooling: Pooling = "avg"
    dtype: FeatureType = "float16"
    batch_size: Positive = 32
    skip_bad: NotNegative = 0

    @property
    def source_of_weights(self) -> str:
        """Return the weights of the backbone; without an option, those of the model."""
        return self.weights or pretrained_weights(self.model)


@dataclass(frozen=True)
class FeaturePlan:
    """The decisions of an extraction that do not need Keras."""

    location: str
    out: str
    dataset: Dataset
    shards: tuple[ShardInfo, ...]
    architecture: Architecture
    options: FeaturizeOptions

    @property
    def images(self) -> int:
        """Return the number of records."""
        return sum(shard.records for shard in self.shards)


def plan_features(location: str, out: str, options: FeaturizeOptions) -> FeaturePlan:
    """Plan an extraction from the dataset at `location` into the store `out`.

    Raises:
        UsageError: the output is inside the dataset, the model has no backbone, the image size is
            too small for the model, or the dataset has no split `train`.
        InputNotFoundError: no finished dataset was found, or the weights do not exist.
        CorruptDataError: a shard is missing, or its size differs from the manifest.
    """
    _find_backbone(options)
    dataset = open_dataset(location)
    require_outside(out, dataset.location)
    architecture = plan_backbone(dataset, options)
    shards = tuple(s for facts in dataset.manifest.splits.values() for s in facts.shards)
    return FeaturePlan(
        absolute_location(location), absolute_location(out), dataset, shards, architecture, options
    )


def plan_backbone(dataset: Dataset, options: FeaturizeOptions) -> Architecture:
    """Return the architecture that extracts features of a dataset. Raises as `plan_features`."""
    spec = _find_backbone(options)
    training = select_split(dataset, "train")
    selections = (select_split(dataset, split) for split in dataset if dataset[split])
    check_shards(dataset, *selections, sizes=not options.skip_bad)
    spec, preset = resolve_preset(spec)
    return Architecture(
        options.model,
        resolve_image_size(dataset, training, options.image_size, spec),
        classes=len(dataset.labels),
        pooling=options.pooling,
        backbone=None if preset is None else preset.backbone,
    )


def _find_backbone(options: FeaturizeOptions) -> ModelSpec:
    spec = find_model(options.model)
    weights = options.source_of_weights
    require_weights(None if weights == "none" else weights, options.model)
    if not spec.has_backbone:
        raise UsageError(
            "this model has no backbone to extract features with",
            got=options.model,
            hint="use a model of keras.applications, such as mobilenet_v2",
        )
    return spec
