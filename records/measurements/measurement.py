"""A kind of measurement of images, such as perceptual hashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from records.dataset import Record


@dataclass(frozen=True)
class Measurement:
    """A function that measures an image, and the table of its results.

    Attributes:
        folder: the folder of the saved tables in a dataset, such as `hashes`.
        method: the name of the method; it must change whenever the values of an image change.
        schema: the columns of the table, without metadata.
        measure: a function of a module that returns the row of a record; other processes call it.
            It does not raise CorruptDataError if the image cannot be decoded.
    """

    folder: str
    method: str
    schema: pa.Schema
    measure: Callable[[Record], Mapping[str, object]]
