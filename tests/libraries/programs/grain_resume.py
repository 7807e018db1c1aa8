"""Iterators of Grain that continue from saved states: `grain_resume DATASET`.

Each pipeline reads each record once per epoch, and after a state the same batches as before.
"""

from __future__ import annotations

import json
import sys
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import grain
from grain._src.python.dataset.base import (  # noqa: PLC2701 # it has no public name
    SupportsBatchedReadRandomAccessDataSource,
)

from records import Record, open_dataset

if TYPE_CHECKING:
    from records import Split

BATCH_SIZE = 4
EPOCHS = 2


def key_of(record: Record) -> str:
    """Return the key of a record."""
    return record.key


def map_pipeline(split: Split, workers: int) -> Any:
    """Return batches of keys, read one by one."""
    keys = grain.MapDataset.source(split.map(key_of)).shuffle(seed=5).repeat(EPOCHS)
    return prefetch(keys.batch(BATCH_SIZE), workers)


def batch_pipeline(split: Split, workers: int) -> Any:
    """Return batches of keys, each read with one call."""
    numbers = grain.MapDataset.range(len(split)).shuffle(seed=5).repeat(EPOCHS)
    return prefetch(numbers.batch(BATCH_SIZE).map(split.map(key_of).__getitems__), workers)


def prefetch(batches: Any, workers: int) -> Any:
    """Return batches that threads or worker processes read."""
    dataset = batches.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=3))
    return dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))


def data_loader(split: Split, workers: int) -> Any:
    """Return the older loader of Grain, which compares the texts of its sources."""
    sampler = grain.samplers.IndexSampler(len(split), shuffle=True, seed=5, num_epochs=EPOCHS)
    operations = [grain.transforms.Batch(BATCH_SIZE)]
    return grain.DataLoader(
        data_source=split.map(key_of),
        sampler=sampler,
        operations=operations,
        worker_count=workers,
    )


def check(make: Any, split: Split, workers: int) -> None:
    """Compare an iterator that is interrupted with one that is not."""
    expected = [list(map(str, batch)) for batch in make(split, workers)]
    found = sorted(chain.from_iterable(expected))
    assert found == sorted(key for key in map(key_of, split) for _ in range(EPOCHS)), make
    for steps in (0, 1, 7, len(expected) - 1):
        iterator = iter(make(split, workers))
        begun = [list(map(str, batch)) for batch in islice(iterator, steps)]
        state = json.loads(json.dumps(plain(iterator.get_state())))
        again = iter(make(open_again(split), workers))
        again.set_state(state if isinstance(state, dict) else state.encode())
        rest = [list(map(str, batch)) for batch in again]
        assert begun + rest == expected, (make, workers, steps)


def plain(state: Any) -> Any:
    """Return a state that JSON can store."""
    return state.decode() if isinstance(state, bytes) else state


def open_again(split: Split) -> Split:
    """Return the same split of the dataset, opened again."""
    return open_dataset(sys.argv[1])[split.name]


def main(dataset: str) -> None:
    """Check all pipelines, and that a state of another split is refused."""
    opened = open_dataset(dataset)
    split = opened["train"]
    assert isinstance(split, grain.sources.RandomAccessDataSource)
    assert isinstance(split, SupportsBatchedReadRandomAccessDataSource)
    for make in (map_pipeline, batch_pipeline, data_loader):
        for workers in (0, 2):
            check(make, split, workers)
    state = iter(data_loader(split, 0)).get_state()
    try:
        iter(data_loader(opened["test"], 0)).set_state(state)
    except ValueError as error:
        assert "does not match" in str(error)  # noqa: PT017
    else:
        raise AssertionError("the state of another split was accepted")
    sys.stdout.write(f"{len(split)} records\n")


if __name__ == "__main__":
    main(sys.argv[1])
