"""Facts about the data and the machine from which a recipe chooses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from records.errors import UsageError
from records.format.index import read_shard_index
from records.text.escaping import escape_for_display
from trainers.models import MODELS, models
from trainers.runs.run_dir import open_run

if TYPE_CHECKING:
    from records.dataset import Dataset
    from trainers.input.selection import Selection

_MOST_SHARDS = 8


class Facts(NamedTuple):
    """What a recipe knows about the data and the machine.

    Attributes:
        images: the number of training images.
        height_px: the median height of the training images.
        width_px: the median width of the training images.
        weights: the paths of the pretrained weights on this machine, by the names of models.
        weights_model: the model of the weights that the user gives; None if none are given.
    """

    images: int
    height_px: int
    width_px: int
    weights: dict[str, str]
    weights_model: str | None = None


def find_facts(dataset: Dataset, training: Selection, weights: str | None) -> Facts:
    """Return the facts about the training images, the machine, and the weights of the user.

    Args:
        dataset: the dataset.
        training: the training images.
        weights: the weights that the user gives: `imagenet`, `none`, a file or a run; or None.

    Raises:
        UsageError: the name of the file of the weights does not contain the name of a model.
        ShardmillError: the run of the weights cannot be read.
    """
    height_px, width_px = _median_size(dataset, training)
    found = {model.name: model.weights for model in models().models if model.weights is not None}
    is_named = weights is None or weights in {"imagenet", "none"}
    return Facts(
        training.records,
        height_px,
        width_px,
        found,
        None if is_named else find_model_of(str(weights)),
    )


def _median_size(dataset: Dataset, training: Selection) -> tuple[int, int]:
    """Return the median height and width; shards are random samples, so some of them suffice."""
    tables = [
        read_shard_index(dataset.storage, shard).table
        for shard in training.shards[:_MOST_SHARDS]
        if shard.records
    ]
    height, width = (
        int(np.median(np.concatenate([table[side].to_numpy() for table in tables])))
        for side in ("height", "width")
    )
    return height, width


def find_model_of(weights: str) -> str:
    """Return the model of a run, or of a weights file by its name, as in `mobilenet_v2.weights.h5`.

    Raises:
        UsageError: the name of the file does not begin with the name of a model.
        ShardmillError: the run cannot be read.
    """
    path = Path(weights)
    if path.is_dir():
        return open_run(path).config.architecture.model
    name = _letters(path.name)
    found = [model for model, spec in MODELS.items() if spec.has_backbone]
    fitting = [model for model in found if name.startswith(_letters(model))]
    if not fitting:
        raise UsageError(
            "the name of the weights file does not begin with the name of a model",
            path=escape_for_display(weights),
            hint="add the model of the weights, as in --model mobilenet_v2",
        )
    return max(fitting, key=len)


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
