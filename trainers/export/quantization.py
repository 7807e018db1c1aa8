"""Images of a dataset for quantization and for its check."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from records.dataset import open_dataset
from records.errors import InputNotFoundError
from records.format.index import RowForm, read_shard_index
from records.format.layout import SPLITS
from trainers.evaluation.evaluate import plan_evaluation
from trainers.input.selection import Selection, check_shards, select_split
from trainers.tasks.target import find_column

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from records.dataset import Dataset
    from records.format.manifest import ShardInfo
    from trainers.runs.run_dir import Run

REPRESENTATIVE_IMAGES = 200
CHECKED_IMAGES = 1000
_SEED = 0


@dataclass(frozen=True)
class QuantizationPlan:
    """The images of a dataset that an export to int8 reads.

    Args:
        run: the run.
        dataset: a dataset with the classes, or the target, of the run.
        representative: images from which the converter determines the ranges of the activations.
        checked: the images on which the exported model is compared with the run.
        notes: lines for the user.
    """

    run: Run
    dataset: Dataset
    representative: Selection
    checked: Selection
    notes: tuple[str, ...] = ()

    def representative_images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of each representative image, uint8 `shape`."""
        for images, _ in self._read(self.representative):
            yield from images

    def checked_batches(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
        """Yield images, uint8 (batch, *shape), and their labels or values (batch, …)."""
        return self._read(self.checked)

    def _read(self, selection: Selection) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
        from trainers.input.bad_records import locate_bad_records
        from trainers.input.pipeline import ShardSource, ordered_batches

        config, target = self.run.config, self.run.target
        column = None if target is None else find_column(self.dataset, target)
        source = ShardSource.from_dataset(self.dataset, config.shape, decoder=config.decoder)
        batches = ordered_batches(source.with_target(column), selection, config.options.batch_size)
        with locate_bad_records(self.dataset, selection, on_message=_ignore):
            yield from batches.as_numpy_iterator()


def plan_quantization(run: Run, location: str | os.PathLike[str] | None) -> QuantizationPlan:
    """Select the images for an export to int8, evenly from all classes.

    Without a location, the dataset is that of the run.

    The representative images are from the split `train`, if the dataset has it. The images on
    which the exported model is compared with the run are from the split `test` or, if the dataset
    has none, those on which training validates.

    Raises:
        InputNotFoundError: the dataset does not exist.
        UsageError: the dataset has other classes than the run, or images that were prepared in
            another way, or no images.
        CorruptDataError: the dataset is damaged.
    """
    try:
        dataset = open_dataset(run.config.dataset if location is None else location)
    except InputNotFoundError as error:
        if location is None:
            error.hint = "name the dataset with representative images: --calibrate DATASET"
        raise
    evaluation = plan_evaluation(run, dataset)
    first = next(name for name in SPLITS if name in dataset and len(dataset[name]))
    representative = select_evenly(dataset, select_split(dataset, first), REPRESENTATIVE_IMAGES)
    check_shards(dataset, representative)
    checked = select_evenly(dataset, evaluation.selection, CHECKED_IMAGES)
    return QuantizationPlan(run, dataset, representative, checked, evaluation.notes)


def select_evenly(dataset: Dataset, selection: Selection, count: int) -> Selection:
    """Return up to `count` records of a selection, chosen at random, evenly from all classes.

    If an image has several labels or none, all images count as one class.
    """
    labels = np.concatenate([_labels(dataset, shard) for shard in selection.shards])
    kept = np.flatnonzero(np.concatenate(selection.shard_masks))
    chosen = np.zeros(len(labels), bool)
    chosen[kept[choose_evenly(labels[kept], count)]] = True
    ends = np.cumsum([shard.records for shard in selection.shards])[:-1]
    return replace(selection, mask=tuple(np.split(chosen, ends)))


def choose_evenly(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the places of up to `count` labels: first one of each class, then a second one, ….

    Args:
        labels: the labels of all candidates, (candidates,).
        count: the number of labels to choose.

    Returns:
        int64 (at most `count`,), in random order, which depends only on the arguments.
    """
    order = np.random.default_rng(_SEED).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    sorted_labels = labels[by_class]
    rank_in_class = np.arange(len(labels)) - np.searchsorted(sorted_labels, sorted_labels)
    return by_class[np.argsort(rank_in_class, kind="stable")[:count]]


def _labels(dataset: Dataset, shard: ShardInfo) -> NDArray[np.int64]:
    """Return the labels of all records of a shard; zeros if records have no single label."""
    if dataset.is_multi_label:
        return np.zeros(shard.records, np.int64)
    form = RowForm.of(dataset.manifest)
    column = read_shard_index(dataset.storage, shard, form).table["label"]
    labels: NDArray[np.int64] = column.to_numpy().astype(np.int64)
    return labels


def _ignore(_line: str) -> None:
    """Discard a line."""
