"""Names and values of the fields of an exported image."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from records.format.columns import Value
    from records.format.manifest import Manifest


class FieldNames(NamedTuple):
    """The names of the fields, which differ from those of the columns of the dataset.

    Attributes:
        image: the image.
        label: the number of the class, or the list of the numbers of all classes.
        class_name: the name of the class, or the list of the names of all classes.
        key: the key.
    """

    image: str
    label: str
    class_name: str
    key: str


def field_names(manifest: Manifest) -> FieldNames:
    """Return the names of the fields of a dataset: the usual one, or `label_2` for a column."""
    settings = manifest.settings
    usual = ("image", "label", "class_name", "key")
    if settings.is_multi_label:
        usual = ("image", "labels", "class_names", "key")
    columns = {column.name.casefold() for column in settings.columns}
    return FieldNames(*(_free(name, columns) for name in usual))


def _free(wanted: str, taken: Collection[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def present_value(value: Value) -> Value | None:
    """Return the value of a column: None for a missing number, and the shortest equal float32."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else float(str(np.float32(value)))
