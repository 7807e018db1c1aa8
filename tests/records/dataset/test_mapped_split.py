"""The results of a function for the records of a split, as a sequence."""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING

import pytest

from records.dataset import Record, open_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def key_of(record: Record, prefix: str = "") -> str:
    return prefix + record.key


def test_mapped_split_equals_results_for_records(build_dataset: Callable[..., Path]) -> None:
    split = open_dataset(build_dataset())["train"]
    mapped = split.map(key_of)
    expected = [record.key for record in split]
    assert list(mapped) == expected
    assert len(mapped) == len(split)
    assert [mapped[number] for number in range(len(mapped))] == expected
    assert mapped[-1] == expected[-1]
    assert mapped[3:9:2] == expected[3:9:2]
    assert mapped.__getitems__([5, 0, 5]) == [expected[5], expected[0], expected[5]]
    with pytest.raises(IndexError):
        mapped[len(split)]


def test_mapped_split_pickle_round_trip_reads_same_records(
    build_dataset: Callable[..., Path],
) -> None:
    mapped = open_dataset(build_dataset())["test"].map(partial(key_of, prefix="x"))
    assert mapped[0].startswith("x")
    assert list(pickle.loads(pickle.dumps(mapped))) == list(mapped)


def test_mapped_split_repr_contains_no_address(build_dataset: Callable[..., Path]) -> None:
    split = open_dataset(build_dataset())["test"]
    assert repr(split.map(key_of)) == f"MappedSplit({split!r}, key_of)"
    assert repr(split.map(partial(key_of, prefix="x"))) == f"MappedSplit({split!r}, partial)"
