"""Worker slices of a split: disjoint, complete, of nearly equal size."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.dataset import open_dataset
from records.dataset.worker_slice import WorkerSlice
from records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@given(records=st.integers(0, 10_000), count=st.integers(1, 100))
def test_worker_slices_cover_all_records_in_order_with_equal_sizes(
    records: int, count: int
) -> None:
    parts = [WorkerSlice(index, count) for index in range(count)]
    places = [part.record_range(records) for part in parts]
    assert list(chain(*places)) == list(range(records))
    sizes = {len(each) for each in places}
    assert max(sizes) - min(sizes) <= 1
    assert {part.max_records(records) for part in parts} == {max(sizes)}


@given(records=st.integers(0, 10_000), count=st.integers(1, 100))
def test_worker_slice_padded_has_equal_size_within_range(records: int, count: int) -> None:
    for index in range(count):
        own = WorkerSlice(index, count).record_range(records)
        full = WorkerSlice(index, count, padded=True).record_range(records)
        assert len(full) == WorkerSlice(index, count).max_records(records)
        assert full[: len(own)] == own
        assert full.stop <= records


@pytest.mark.parametrize("given_part", [(1, 1), (-1, 2), (0, 0), (3, 2)])
def test_worker_slice_invalid_index_raises_usage_error(given_part: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="invalid slice"):
        WorkerSlice(*given_part)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12, 20])
def test_open_dataset_worker_slices_read_each_record_once(
    build_dataset: Callable[..., Path], count: int
) -> None:
    folder = build_dataset()
    whole = open_dataset(folder)
    parts = [open_dataset(folder, shard_index=index, shard_count=count) for index in range(count)]
    for name, split in whole.items():
        assert [record for part in parts for record in part[name]] == list(split)
        for part in parts:
            own = part[name]
            assert [own[number] for number in range(len(own))] == list(own)
            assert own[::-1] == list(own)[::-1]
            with pytest.raises(IndexError):
                own[len(own)]


@pytest.mark.parametrize("count", [2, 5, 20])
def test_open_dataset_padded_worker_slices_have_equal_length(
    build_dataset: Callable[..., Path], count: int
) -> None:
    folder = build_dataset()
    for name, split in open_dataset(folder).items():
        parts = [
            open_dataset(folder, shard_index=index, shard_count=count, pad=True)[name]
            for index in range(count)
        ]
        assert {len(part) for part in parts} == {-(-len(split) // count)}
        assert {record.key for part in parts for record in part} == {r.key for r in split}
        assert [part[-1] for part in parts] == [list(part)[-1] for part in parts]
