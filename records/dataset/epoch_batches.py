"""Batches of record numbers, epoch after epoch, for one of several processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import TYPE_CHECKING

import numpy as np

from records.arguments import NotNegative, Positive, check_arguments
from records.dataset.shuffled_order import shuffled_numbers
from records.dataset.worker_slice import WorkerSlice
from records.errors import UsageError
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EPOCH, _POSITION = "epoch", "position"


class EpochBatches:
    """Batches of record numbers, as the argument `batch_sampler` of a PyTorch `DataLoader`.

        images = sm.open_dataset("data")["train"].map(to_tensors)
        batches = sm.EpochBatches(images, 32, seed=1)
        loader = StatefulDataLoader(images, batch_sampler=batches, num_workers=4)

    Each iteration yields the batches of one epoch as lists of numbers. The order depends only on
    the seed and the epoch. All processes together read the records of an epoch in this order: in
    each step, one process after the other takes `batch_size` records. Therefore, a state is the
    same for all processes, and another number of processes can continue from it.

    Args:
        source: the records: a whole split, or anything else that has a length.
        batch_size: the number of records per batch and process.
        shuffle: whether each epoch has a random order; otherwise, the order is the stored one.
        seed: the seed of the order.
        block_records: the number of consecutive records that stay together when the order is
            random. They take one request if the dataset is at a URL.
        shard_index: the number of this process, from 0.
        shard_count: the number of processes.
        pad: whether all processes get batches of the same size in the last step of an epoch: some
            of them then also get a record of another process. Otherwise, each record goes to
            exactly one process, and a process may have one batch less than the others.
        drop_last: whether the last step of an epoch is left out if it is incomplete.

    Raises:
        UsageError: an argument is out of range.
    """

    @check_arguments
    def __init__(
        self,
        source: Sized,
        batch_size: Positive,
        *,
        shuffle: bool = True,
        seed: NotNegative = 0,
        block_records: Positive = 1,
        shard_index: int = 0,
        shard_count: int = 1,
        pad: bool = False,
        drop_last: bool = False,
    ) -> None:
        self._records = len(source)
        self._batch_size = batch_size
        self._order = {"shuffle": shuffle, "seed": seed, "block_records": block_records}
        self._slice = WorkerSlice(shard_index, shard_count, padded=pad)
        self._step_records = batch_size * shard_count
        self._least_records = self._step_records if drop_last else 1
        self._epoch = 0
        self._position = 0
        self._continues = True

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 0; after the end of an epoch, that of the next one."""
        return self._epoch

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        steps, rest = divmod(self._records, self._step_records)
        return steps + (rest >= self._least_records and len(self._own_part(0, rest)) > 0)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of the next epoch, or the rest of the epoch of a loaded state.

        If the iteration before was left early, the next epoch begins all the same.
        """
        # Nothing happens before the first batch, because loaders also make iterators that they do
        # not use. The state changes before each batch, because they read it after the batch.
        if not self._continues:
            self._epoch, self._position = self._epoch + 1, 0
        self._continues = False
        epoch, position = self._epoch, self._position
        numbers = self._numbers(epoch)
        while (rest := self._records - position) >= self._least_records:
            own = self._own_part(position, rest)
            position += min(rest, self._step_records)
            self._epoch, self._position = epoch, position
            if own:
                yield numbers[own.start : own.stop].tolist()
        self._epoch, self._position, self._continues = epoch + 1, 0, True

    def state_dict(self) -> dict[str, int]:
        """Return the position after the last batch, for `load_state_dict`.

        Workers of a `DataLoader` read batches ahead. Therefore, save the state of the
        `StatefulDataLoader`, which contains that of the batch that it returned last; or use
        `start_at`.
        """
        state = {_EPOCH: self._epoch, _POSITION: self._position}
        return {"records": self._records, **self._order, **state}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue from a state: the next iteration yields the rest of its epoch.

        Raises:
            UsageError: the state is not one of these records in this order.
        """
        own = self.state_dict()
        given = {name: state.get(name) for name in own}
        fixed = [name for name in own if name not in {_EPOCH, _POSITION}]
        if any(given[name] != own[name] for name in fixed):
            raise UsageError(
                "the state belongs to other records or to another order",
                expected=_describe(own, fixed),
                got=_describe(given, fixed),
                hint="use the dataset and the arguments with which the state was saved",
            )
        epoch, position = given[_EPOCH], given[_POSITION]
        if not (
            isinstance(epoch, int)
            and isinstance(position, int)
            and epoch >= 0
            and 0 <= position <= self._records
        ):
            raise UsageError(
                "the state is invalid",
                expected=f"epoch from 0, position from 0 to {self._records}",
                got=_describe(given, [_EPOCH, _POSITION]),
            )
        self._epoch, self._position, self._continues = epoch, position, True

    @check_arguments
    def start_at(self, epoch: NotNegative, step: NotNegative = 0) -> None:
        """Let the next iteration begin after some steps of an epoch, for a loader without state.

        Args:
            epoch: the number of the epoch, from 0.
            step: the number of batches that each process has already used.

        Raises:
            UsageError: an argument is out of range.
        """
        position = min(step * self._step_records, self._records)
        self._epoch, self._position, self._continues = epoch, position, True

    def __repr__(self) -> str:
        records = pluralize(self._records, "record")
        part = f"process {self._slice.index} of {self._slice.count}"
        return f"EpochBatches({records}, batches of {self._batch_size}, {part}, {self._order})"

    def _numbers(self, epoch: int) -> NDArray[np.int64]:
        """Return the numbers of all records in the order of an epoch."""
        if not self._order["shuffle"]:
            return np.arange(self._records)
        seed, block_records = self._order["seed"], self._order["block_records"]
        return shuffled_numbers(self._records, seed=seed, epoch=epoch, block_records=block_records)

    def _own_part(self, position: int, rest: int) -> range:
        """Return the positions of the batch of this process in the step that begins there."""
        if rest >= self._step_records:
            first = position + self._slice.index * self._batch_size
            return range(first, first + self._batch_size)
        part = self._slice.record_range(rest)
        return range(position + part.start, position + part.stop)


def _describe(state: Mapping[str, object], names: list[str]) -> str:
    return ", ".join(f"{name} {state[name]}" for name in names)
