"""Search for wrong labels of a dataset.

found = label_errors("data", model="mobilenet_v2")
print(found)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from records.arguments import NotNegative, check_arguments
from records.dataset import Dataset, open_dataset
from records.errors import UsageError
from records.format.layout import SPLITS
from records.runtime.extras import check_extra
from records.runtime.progress import progress_bar
from trainers.backend import start_backend
from trainers.features.plan import FeaturizeOptions, plan_backbone
from trainers.folds.dataset import find_units
from trainers.input.selection import select_split
from trainers.label_errors.cross_validation import ROUNDS, cross_validate
from trainers.label_errors.judge import count_overlaps, rank_wrong_labels
from trainers.label_errors.outliers import find_outliers
from trainers.label_errors.result import ClassOverlap, LabelError, LabelErrors, Outlier
from trainers.options import Folds, Pixels, Seed
from trainers.tasks.intervals import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from records.format.layout import SplitName
    from trainers.features.load import OnProgress


class _Images(NamedTuple):
    """The images that have features.

    Attributes:
        features: the features, float32 (images, features).
        labels: the labels, int64 (images,).
        units: a number for each image, uint64 (images,): equal for images of one group, and for
            images with the same bytes.
        rows: the index row of each image, over all splits, int64 (images,).
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    units: NDArray[np.uint64]
    rows: NDArray[np.int64]


@check_arguments
def label_errors(
    dataset: str | os.PathLike[str] | Dataset,
    *,
    model: str,
    weights: str | os.PathLike[str] = "imagenet",
    image_size: int | tuple[Pixels, Pixels] | None = None,
    folds: Folds = 5,
    seed: Seed = 0,
    skip_bad: NotNegative = 0,
    on_message: Callable[[str], None] | None = None,
    on_progress: OnProgress | None = None,
) -> LabelErrors:
    """Find images whose label is probably wrong, outliers, and classes that are confused.

    The backbone computes the features of every image once, and keeps them in the cache. Heads are
    fitted to them by cross-validation, so that no head has seen the images that it judges.

    Args:
        dataset: a path or URL, or an open dataset, with one label per image.
        model: the name of a model with a backbone.
        weights: the weights of the backbone: `imagenet`, `none`, a weights file or a run folder.
        image_size: the input size in pixels: (height, width), or one number for a square; the
            default is that of `train`.
        folds: the number of parts of the cross-validation.
        seed: the seed of the division into folds.
        skip_bad: the maximum number of damaged records that are left out; if there are more, the
            first one raises an error.
        on_message: called with each line that the command line would print.
        on_progress: called with the number of images that have features, and the number of all.

    Raises:
        UsageError: cleanlab is not installed, an image may have any number of labels, the model has
            no backbone, or there are too few images.
        InputNotFoundError: the dataset or the weights do not exist.
        CorruptDataError: more than `skip_bad` records are damaged.
        OutputError: the features cannot be written to the cache.
    """
    check_extra("cleanlab", "label-errors")
    options = FeaturizeOptions(
        model=model,
        weights=os.fspath(weights),
        image_size=(image_size, image_size) if isinstance(image_size, int) else image_size,
        skip_bad=skip_bad,
    )
    opened = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    if opened.is_multi_label:
        raise UsageError(
            "the images of this dataset may have any number of labels",
            path=opened.storage.url,
            expected="one label per image",
        )
    images = _load(opened, options, on_message or _ignore, on_progress)
    # The methods need every label from 0 to the highest one.
    present, labels = np.unique(images.labels, return_inverse=True)
    with progress_bar("cross-validating", unit="images", total=ROUNDS * len(labels)) as bar:
        probabilities = cross_validate(
            images.features, labels, images.units, folds=folds, seed=seed, on_fold=bar.update
        )
    names = [opened.labels[label] for label in present]
    right = int((probabilities.argmax(axis=1) == labels).sum())
    damaged = sum(len(opened[split]) for split in opened) - len(labels)
    outliers = find_outliers(images.features, labels)
    wrong = rank_wrong_labels(labels, probabilities)
    places = _Places(opened, images.rows)
    return LabelErrors(
        model=model,
        folds=folds,
        images=len(labels),
        damaged_records=damaged,
        accuracy=right / len(labels),
        accuracy_interval=wilson_interval(right, len(labels)),
        candidates=tuple(
            LabelError(
                key=key,
                split=split,
                class_name=names[labels[number]],
                suggested=names[int(probabilities[number].argmax())],
                score=float(probabilities[number, labels[number]]),
                suggested_score=float(probabilities[number].max()),
                row=row,
            )
            for number, (key, split, row) in zip(wrong.tolist(), places.of(wrong), strict=True)
        ),
        outliers=tuple(
            Outlier(key, split, names[labels[number]], distance, row)
            for number, distance, (key, split, row) in zip(
                outliers.rows.tolist(),
                outliers.distances.tolist(),
                places.of(outliers.rows),
                strict=True,
            )
        ),
        outlier_limit=outliers.limit,
        overlaps=tuple(
            ClassOverlap((names[first], names[second]), number)
            for first, second, number in count_overlaps(labels, probabilities)
        ),
    )


def _load(
    dataset: Dataset,
    options: FeaturizeOptions,
    on_message: Callable[[str], None],
    on_progress: OnProgress | None,
) -> _Images:
    """Return the features of all records of all splits that are not damaged."""
    architecture = plan_backbone(dataset, options)
    start_backend()

    from trainers.features.extract import build_extractor_network
    from trainers.features.load import load_or_extract

    selections = [select_split(dataset, name) for name in _splits(dataset)]
    source = load_or_extract(
        dataset,
        selections,
        build_extractor_network(architecture, options.source_of_weights),
        architecture,
        store=None,
        skip_bad=options.skip_bad,
        on_message=on_message,
        on_progress=on_progress,
    )
    arrays = [source.load(shard) for part in selections for shard in part.shards]
    labels = np.concatenate([array["label"] for array in arrays])
    intact = np.flatnonzero(labels >= 0)
    features = np.concatenate([array["array"] for array in arrays])[intact].astype(np.float32)
    units = find_units(_read_columns(dataset, ["group", "source_xxh3_128"]))[intact]
    return _Images(features.reshape(len(intact), -1), labels[intact], units, intact)


def _splits(dataset: Dataset) -> list[SplitName]:
    """Return the names of the splits with images, in the order of the index rows."""
    return [name for name in SPLITS if dataset.get(name)]


class _Places:
    """Keys and splits of images."""

    def __init__(self, dataset: Dataset, rows: NDArray[np.int64]) -> None:
        self._rows = rows
        self._keys = _read_columns(dataset, ["key"])["key"]
        self._splits = _splits(dataset)
        self._ends = np.cumsum([len(dataset[name]) for name in self._splits])

    def of(self, numbers: NDArray[np.int64]) -> Sequence[tuple[str, SplitName, int]]:
        """Return key, split and index row of each image."""
        rows = self._rows[numbers]
        splits = np.searchsorted(self._ends, rows, side="right").tolist()
        keys = self._keys.take(pa.array(rows)).to_pylist()
        return [
            (key, self._splits[split], row)
            for key, split, row in zip(keys, splits, rows.tolist(), strict=True)
        ]


def _read_columns(dataset: Dataset, names: list[str]) -> pa.Table:
    """Return columns of the index rows of all splits."""
    tables = [
        dataset[name].load_index(shard).table.select(names)
        for name in _splits(dataset)
        for shard in range(len(dataset[name].info.shards))
    ]
    return pa.concat_tables(tables)


def _ignore(_line: str) -> None:
    """Discard a line."""
