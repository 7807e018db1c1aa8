"""Epochs that `StatefulDataLoader` continues from saved states: `torch_resume DATASET METHOD`.

With each number of workers and of processes, each record is read once per epoch, and the batches
after a state are those of a loader that was not interrupted.
"""

from __future__ import annotations

import io
import sys
from itertools import chain, islice, product
from typing import TYPE_CHECKING, Any

import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from records import EpochBatches, Record, open_dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH_SIZE = 4
EPOCHS = 3


def key_of(record: Record) -> str:
    """Return the key of a record; its name is what `spawn` sends to the workers."""
    return record.key


def make_loader(dataset: str, rank: int, ranks: int, workers: int, method: str) -> Any:
    """Return the loader of one process, whose batches are lists of keys."""
    keys = open_dataset(dataset)["train"].map(key_of)
    batches = EpochBatches(
        keys, BATCH_SIZE, seed=5, block_records=8, shard_index=rank, shard_count=ranks
    )
    context = method if workers else None
    return StatefulDataLoader(
        keys,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context=context,
    )


def check(dataset: str, ranks: int, workers: int, method: str, stops: Sequence[int | None]) -> None:
    """Compare loaders that are interrupted after some steps with loaders that are not.

    A negative number counts from the last step; None ends the epoch before the state is saved.
    """
    expected = sorted(record.key for record in open_dataset(dataset)["train"])
    given = (ranks, workers, method)
    loaders = [make_loader(dataset, rank, *given) for rank in range(ranks)]
    epochs = [[list(loader) for _ in range(EPOCHS)] for loader in loaders]
    for epoch in range(EPOCHS):
        keys = chain.from_iterable(chain.from_iterable(part[epoch] for part in epochs))
        assert sorted(keys) == expected
    orders = {str(epoch) for epoch in epochs[0]}
    assert len(orders) == EPOCHS
    for rank, part in enumerate(epochs):
        counts = [stop if stop is None or stop >= 0 else len(part[1]) + 1 + stop for stop in stops]
        for steps in counts:
            begun, state = interrupt(make_loader(dataset, rank, *given), steps)
            again = make_loader(dataset, rank, *given)
            again.load_state_dict(state)
            rest = [] if steps is None else list(again)
            assert begun + rest == part[1], (given, rank, steps)
            assert list(again) == part[2], (given, rank, steps)


def interrupt(loader: Any, steps: int | None) -> tuple[list[list[str]], Any]:
    """Read an epoch and some batches; return these batches, and the state from a file."""
    list(loader)
    batches = iter(loader)
    begun = list(batches) if steps is None else list(islice(batches, steps))
    file = io.BytesIO()
    torch.save(loader.state_dict(), file)
    file.seek(0)
    return begun, torch.load(file)


def main(dataset: str, method: str) -> None:
    """Check all numbers of processes and of workers; one of each with `spawn`, which is slow."""
    if method == "spawn":
        check(dataset, 1, 2, method, [3])
        return
    for ranks, workers in product((1, 3), (0, 2)):
        check(dataset, ranks, workers, method, [0, 1, -2, -1, None])


if __name__ == "__main__":
    main(*sys.argv[1:])
