"""Batches of an epoch: complete, disjoint, in a random order, and continued from any state."""

from __future__ import annotations

import pickle
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.dataset import EpochBatches
from records.dataset.shuffled_order import shuffled_numbers
from records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIZES = st.integers(0, 200)
_BATCHES = st.integers(1, 20)
_COUNTS = st.integers(1, 5)
_BLOCKS = st.integers(1, 40)


def make(records: int, batch_size: int, count: int = 1, **options: Any) -> list[EpochBatches]:
    """Return the batches of each of several processes."""
    return [
        EpochBatches(range(records), batch_size, shard_index=index, shard_count=count, **options)
        for index in range(count)
    ]


def in_steps(processes: Iterable[Iterable[list[int]]]) -> list[int]:
    """Return the numbers of all processes, step by step, and of each step process by process."""
    steps = zip_longest(*processes, fillvalue=[])
    return list(chain.from_iterable(chain.from_iterable(steps)))


@given(records=_SIZES, batch_size=_BATCHES, count=_COUNTS, block=_BLOCKS)
def test_epoch_batches_all_processes_yield_each_record_once_in_the_order_of_one(
    records: int, batch_size: int, count: int, block: int
) -> None:
    processes = make(records, batch_size, count, block_records=block)
    (alone,) = make(records, 1, block_records=block)
    for _ in range(2):
        epoch = [list(process) for process in processes]
        assert in_steps(epoch) == list(chain.from_iterable(alone))
        assert sorted(chain.from_iterable(chain.from_iterable(epoch))) == list(range(records))
        assert [len(process) for process in processes] == [len(part) for part in epoch]


@given(records=_SIZES, batch_size=_BATCHES, count=_COUNTS)
def test_epoch_batches_padded_have_equal_sizes_and_all_records(
    records: int, batch_size: int, count: int
) -> None:
    epoch = [list(process) for process in make(records, batch_size, count, pad=True)]
    sizes = [[len(batch) for batch in part] for part in epoch]
    assert sizes == [sizes[0]] * count
    assert {*chain.from_iterable(chain.from_iterable(epoch))} == {*range(records)}
    assert sum(map(sum, sizes)) - records < count


@given(records=_SIZES, batch_size=_BATCHES, count=_COUNTS)
def test_epoch_batches_drop_last_yields_only_whole_batches(
    records: int, batch_size: int, count: int
) -> None:
    for process in make(records, batch_size, count, drop_last=True):
        batches = list(process)
        assert [len(batch) for batch in batches] == [batch_size] * len(process)
        assert len(process) == records // (batch_size * count)


@given(
    records=_SIZES, batch_size=_BATCHES, count=_COUNTS, other=_COUNTS, data=st.data(), block=_BLOCKS
)
def test_epoch_batches_state_continues_with_any_number_of_processes(
    *, records: int, batch_size: int, count: int, other: int, data: st.DataObject, block: int
) -> None:
    processes = make(records, batch_size, count, block_records=block)
    for process in processes:
        list(process)  # the first epoch
    steps = data.draw(st.integers(0, min(map(len, processes))))
    begun = [list(islice(iter(process), steps)) for process in processes]
    state = processes[-1].state_dict()
    expected = in_steps(make_epoch(records, 1, block))
    continued = make(records, batch_size + 1, other, block_records=block)
    for process in continued:
        process.load_state_dict(pickle.loads(pickle.dumps(state)))
    assert in_steps(begun) + in_steps(continued) == expected
    assert in_steps(continued) == in_steps(make_epoch(records, 2, block))


def make_epoch(records: int, epoch: int, block: int) -> list[list[list[int]]]:
    (process,) = make(records, 1, block_records=block)
    process.start_at(epoch)
    return [list(process)]


def test_epoch_batches_start_at_equals_state_after_as_many_steps() -> None:
    one, other = make(100, 8, 2), make(100, 8, 2)
    for each, again in zip(one, other, strict=True):
        list(each)
        list(islice(each, 3))
        again.start_at(epoch=1, step=3)
        assert again.state_dict() == each.state_dict()
        assert again.epoch == 1


def test_epoch_batches_iterators_that_are_not_used_change_nothing() -> None:
    (batches,) = make(20, 4)
    state = batches.state_dict()
    for _ in range(3):
        iter(batches)
    assert batches.state_dict() == state


def test_epoch_batches_left_early_begin_next_epoch() -> None:
    (batches,) = make(20, 4)
    next(iter(batches))
    assert in_steps([batches]) == in_steps(make_epoch(20, 1, 1))


def test_epoch_batches_without_shuffle_are_in_stored_order() -> None:
    (batches,) = make(10, 4, shuffle=False)
    assert list(batches) == list(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"records": 11}, "expected records 10, .*got records 11"),
        ({"seed": 2}, "got .*seed 2"),
        ({"shuffle": False}, "got .*shuffle False"),
        ({"block_records": 4}, "got .*block_records 4"),
        ({"position": 11}, "the state is invalid"),
        ({"epoch": -1}, "the state is invalid"),
        ({"epoch": None}, "the state is invalid"),
    ],
)
def test_epoch_batches_state_of_another_order_is_refused(
    change: dict[str, Any], message: str
) -> None:
    (batches,) = make(10, 4)
    with pytest.raises(UsageError, match=message):
        batches.load_state_dict({**batches.state_dict(), **change})


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"seed": -1}, {"block_records": 0}, {"shard_index": 2, "shard_count": 2}],
)
def test_epoch_batches_argument_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        EpochBatches(range(10), **{"batch_size": 4, **options})


def test_shuffled_numbers_are_the_same_in_every_version() -> None:
    assert shuffled_numbers(10, seed=1, epoch=2).tolist() == [4, 2, 0, 6, 1, 5, 9, 8, 7, 3]
    blocks = shuffled_numbers(10, seed=1, epoch=2, block_records=3)
    assert blocks.tolist() == [6, 8, 7, 2, 1, 0, 4, 3, 5, 9]


@given(records=st.integers(1, 200), block=_BLOCKS)
def test_shuffled_numbers_keep_blocks_together(records: int, block: int) -> None:
    blocks = shuffled_numbers(records, seed=0, epoch=0, block_records=block) // block
    assert np.count_nonzero(np.diff(blocks)) == len({*blocks.tolist()}) - 1


def test_shuffled_numbers_place_each_record_everywhere_equally_often() -> None:
    epochs = 3_000
    orders = np.array([shuffled_numbers(6, seed=3, epoch=epoch) for epoch in range(epochs)])
    for place in range(6):
        counts = np.bincount(orders[:, place], minlength=6)
        assert abs(counts - epochs / 6).max() < 100  # five standard deviations
