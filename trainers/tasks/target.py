"""The target column of a dataset: its values, and their scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records.errors import UsageError
from records.format.index import RowForm, read_shard_index
from records.format.label_map import is_valid_name
from records.text.escaping import escape_for_display
from trainers.config import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from records.dataset import Dataset
    from records.format.columns import Column
    from records.format.manifest import ShardInfo

_LEAST, _GREATEST = 1e-15, 1e15  # the squares of greater numbers would overflow
_SHOWN_COLUMNS = 10


def find_column(dataset: Dataset, name: str) -> Column:
    """Return the column of numbers with this name.

    Raises:
        UsageError: the dataset does not keep the column, or the column has texts.
    """
    columns = dataset.manifest.settings.columns
    found = next((column for column in columns if column.name == name), None)
    if found is not None and found.type != "string" and is_valid_name(name):
        return found
    numbers = [column.name for column in columns if column.type != "string"]
    shown = ", ".join(map(escape_for_display, numbers[:_SHOWN_COLUMNS]))
    raise UsageError(
        "the dataset keeps no column of this name"
        if found is None
        else "the column does not contain numbers only",
        path=dataset.path,
        expected=f"a column of numbers: {shown}" if numbers else "a dataset with such a column",
        got=escape_for_display(str(name)),
        hint=None
        if numbers
        else "convert with the column: shardmill convert SOURCE OUTPUT --list FILE "
        "--target-column NAME",
    )


def read_targets(dataset: Dataset, shard: ShardInfo, name: str) -> NDArray[np.float32]:
    """Return the value of a column for each record of a shard, (records,); NaN if it is missing.

    Raises:
        CorruptDataError: the index is damaged or missing.
    """
    form = RowForm.of(dataset.manifest)
    table = read_shard_index(dataset.storage, shard, form).table
    values = table["columns"].combine_chunks().field(name)
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float32)


def fit_target(dataset: Dataset, name: str, values: Iterable[NDArray[np.float32]]) -> Target:
    """Return the target with the mean and the standard deviation of its values.

    Args:
        dataset: the dataset, for messages.
        name: the name of the column.
        values: the values of the training images, without missing ones.

    Raises:
        UsageError: all values are equal, or too large or too close for float32.
    """
    known = np.concatenate([each.astype(np.float64) for each in values])
    mean, deviation = float(known.mean()), float(known.std())
    if known.min() == known.max() or not deviation:
        raise UsageError(
            f"{escape_for_display(name)} has the same value for every training image",
            path=dataset.path,
            got=f"{known[0]:g}",
            hint="nothing can be learnt from it: use a different column",
        )
    if deviation < _LEAST or np.abs(known).max() > _GREATEST:
        raise UsageError(
            f"the values of {escape_for_display(name)} cannot be learnt in float32",
            path=dataset.path,
            expected=f"absolute values up to {_GREATEST:g}, a deviation from {_LEAST:g}",
            got=f"values from {known.min():g} to {known.max():g}, deviation {deviation:g}",
            hint="use a different unit",
        )
    return Target(name, mean, deviation)


def targets_of(
    dataset: Dataset, shards: Iterable[ShardInfo], name: str | None
) -> dict[str, NDArray[np.float32]] | None:
    """Return the values of a column by the names of the shards; None without a column."""
    if name is None:
        return None
    return {shard.name: read_targets(dataset, shard, name) for shard in shards}
