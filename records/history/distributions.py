"""Distributions of the images of two datasets: sizes, formats and classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow.compute as pc

from records.dataset import Dataset
from records.history.changes import identify_shards
from records.history.shift import ks_distance, stability_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = {"width": "width", "height": "height", "bytes": "stored_bytes"}
"""The column of the index of each number, by name."""


class Shift(msgspec.Struct, frozen=True):
    """The medians of a number in two datasets, and the Kolmogorov-Smirnov distance.

    A value is None if a dataset has no records.
    """

    median_a: int | None
    median_b: int | None
    ks: float | None


class CategoryShift(msgspec.Struct, frozen=True):
    """The numbers of records of each category, and the population stability index."""

    records: dict[str, tuple[int, int]]
    psi: float | None


class Images(NamedTuple):
    """The images of a dataset: each number of all images, (N,) int32, and the formats."""

    numbers: Mapping[str, NDArray[Any]]
    formats: Mapping[str, int]


def read_images(a: Dataset, b: Dataset) -> tuple[Images, Images]:
    """Return the images of two datasets; a shard that both have is read once.

    Raises:
        CorruptDataError: an index is damaged or missing.
    """
    shards = identify_shards(a), identify_shards(b)
    numbers: list[dict[str, list[NDArray[Any]]]] = [{name: [] for name in NUMBERS} for _ in "ab"]
    formats: list[Counter[str]] = [Counter(), Counter()]
    for shard in {**shards[0], **shards[1]}:
        sides = [side for side in (0, 1) if shard in shards[side]]
        split, number = shards[sides[0]][shard]
        table = (a, b)[sides[0]][split].load_index(number).table
        counted = pc.value_counts(table["format"]).to_pylist()
        columns = {
            name: table[column].to_numpy().astype(np.int32) for name, column in NUMBERS.items()
        }
        for side in sides:
            formats[side].update({item["values"]: item["counts"] for item in counted})
            for name, column in columns.items():
                numbers[side][name].append(column)
    first, second = (
        Images({name: _join(parts) for name, parts in found.items()}, counts)
        for found, counts in zip(numbers, formats, strict=True)
    )
    return first, second


def _join(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, np.int32), *parts])


def compare_numbers(a: NDArray[Any], b: NDArray[Any]) -> Shift:
    """Return the shift of a number between two datasets."""
    return Shift(_median(a), _median(b), _round(ks_distance(a, b)))


def _median(numbers: NDArray[Any]) -> int | None:
    return int(np.quantile(numbers, 0.5, method="lower")) if len(numbers) else None


def compare_categories(a: Mapping[str, int], b: Mapping[str, int]) -> CategoryShift:
    """Return the shift of the shares of categories between two datasets."""
    counts = {name: (a.get(name, 0), b.get(name, 0)) for name in {**a, **b}}
    return CategoryShift(counts, _round(stability_index(a, b)))


def _round(distance: float | None) -> float | None:
    return None if distance is None else round(distance, 6)
