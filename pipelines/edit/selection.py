"""Selection of the records to edit, by key or by condition."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.edit.plan import Edit, Labels
from pipelines.edit.where import Mask
from pipelines.sources.reader import read_text_file
from records.errors import InputNotFoundError, UsageError
from records.format.index import Index, label_lists
from records.format.layout import SplitName
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_from_text, key_to_text
from records.user_text import decode_text

Select = Callable[[SplitName, Index], Mask]
"""A function that returns whether to select each record of a shard, (N,)."""

_SHOWN_KEYS = 5


def read_keys(path: str) -> list[str]:
    """Return the keys in a file, one per line, as the index has them.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the file is not text.
    """
    return parse_keys(read_text_file(path), path)


def parse_keys(content: bytes, path: str) -> list[str]:
    """Return the keys in the content of a file. Raises UsageError if it is not text."""
    lines = decode_text(content, path=path).split("\n")
    return [line.rstrip("\r") for line in lines if line.strip()]


def check_keys(keys: Iterable[str] | None) -> list[str] | None:
    """Return keys that a program gives. Raises UsageError if they are not texts."""
    if keys is None:
        return None
    given: list[Any] = [*keys]  # an iterator gives its keys once
    for key in given:
        if not isinstance(key, str):
            raise UsageError("argument keys: not a key", expected="str", got=type(key).__name__)
    return given


class KeySelection:
    """The records with these keys; it remembers which keys it has found.

    Args:
        keys: keys as text.
    """

    def __init__(self, keys: Collection[str]) -> None:
        canonical = dict.fromkeys(key_to_text(key_from_text(key)) for key in keys)
        self._keys = pa.array(canonical, pa.string())
        self._is_found = np.zeros(len(self._keys), bool)

    def mask(self, _split: SplitName, index: Index) -> Mask:
        """Return whether to select each record of a shard, (N,)."""
        keys = index.table["key"]
        numbers = pc.index_in(keys, value_set=self._keys)
        self._is_found[numbers.drop_null().to_numpy()] = True
        mask: Mask = numbers.is_valid().to_numpy()
        return mask

    def missing(self) -> list[str]:
        """Return the keys that were not found, in the order in which they were given."""
        keys: list[str] = self._keys.filter(pa.array(~self._is_found)).to_pylist()
        return keys


def edit_by_key(selection: KeySelection, new: Mapping[str, Labels | None]) -> Edit:
    """Return the edit that gives records their new labels, or removes them, by key.

    Args:
        selection: the selection of these keys.
        new: the new labels of each record, None for a record to remove. A record that already has
            its labels is not edited.
    """

    def edit(split: SplitName, index: Index) -> Mapping[int, Labels | None]:
        rows = np.flatnonzero(selection.mask(split, index))
        chosen = index.table.take(rows)
        found = zip(rows.tolist(), chosen["key"].to_pylist(), label_lists(chosen), strict=True)
        return {row: new[key] for row, key, current in found if new[key] != current}

    return edit


def missing_keys(keys: list[str], *, path: str) -> InputNotFoundError:
    """Return the error for keys that the dataset does not have."""
    shown = ", ".join(map(escape_for_display, keys[:_SHOWN_KEYS]))
    more = f" and {len(keys) - _SHOWN_KEYS:,} more" if len(keys) > _SHOWN_KEYS else ""
    return InputNotFoundError(
        f"{pluralize(len(keys), 'key')} not found in the dataset",
        path=path,
        got=f"{shown}{more}",
        hint="correct the keys (`shardmill inspect` shows some), or pass --ignore-missing",
    )
