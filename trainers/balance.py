"""Balanced epochs, in which each class has the same number of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records.format.index import RowForm, read_shard_index
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from records.dataset import Dataset
    from trainers.input.selection import Selection


def read_labels(dataset: Dataset, selection: Selection) -> NDArray[np.int64]:
    """Return the label of each selected record, (records,), of a dataset with one per record."""
    labels = [np.zeros(0, np.int64)]
    for shard, chosen in zip(selection.shards, selection.shard_masks, strict=True):
        table = read_shard_index(dataset.storage, shard, RowForm.of(dataset.manifest)).table
        labels.append(table["label"].to_numpy()[chosen].astype(np.int64))
    return np.concatenate(labels)


def draw_repeats(labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return how many times each record is in a balanced epoch, (records,).

    An epoch has as many records as there are labels. Each class has the same share of them, or one
    more. Within a class, the numbers differ by at most 1, and are drawn for each epoch: a record of
    a rare class repeats, and some records of a frequent class are left out.

    Args:
        labels: the label of each record, (records,).
        seed: the seed of the run.
        epoch: the number of the epoch.
    """
    random = np.random.default_rng((seed, epoch))
    classes, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if not len(classes):
        return np.zeros(0, np.int64)
    quotas = np.full(len(classes), len(labels) // len(classes))
    quotas[random.permutation(len(classes))[: len(labels) % len(classes)]] += 1
    order = np.lexsort((random.random(len(labels)), class_of))
    places = np.empty(len(labels), np.int64)
    places[order] = np.arange(len(labels)) - (np.cumsum(counts) - counts)[class_of[order]]
    repeats = quotas[class_of] // counts[class_of] + (places < (quotas % counts)[class_of])
    return np.asarray(repeats, np.int64)


def describe_balance(counts: Sequence[int], labels: Sequence[str]) -> str:
    """Return a line on the epochs of a run with balanced classes.

    Args:
        counts: the number of training images of each class.
        labels: the names of the classes.
    """
    present = {name: count for name, count in zip(labels, counts, strict=True) if count}
    rarest = min(present, key=lambda name: present[name])
    quota = sum(counts) // len(present)
    return (
        f"each of {pluralize(len(present), 'class')} has {pluralize(quota, 'image')} or one more "
        f"per epoch; an image of {escape_for_display(rarest)} is used up to "
        f"{pluralize(quota // present[rarest] + 1, 'time')}"
    )
