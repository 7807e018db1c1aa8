"""What is held in memory comes as what is streamed: each record once an epoch, the seed's order."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from records.dataset import open_dataset
from trainers.config import ImageShape
from trainers.input.disk_cache import build_disk_cache
from trainers.input.in_memory import batches_in_order, shuffled_in_memory
from trainers.input.pipeline import ShardSource, ordered_batches
from trainers.input.selection import Selection, select_split
from trainers.input.shuffle import ShuffleSpec

if TYPE_CHECKING:
    from pathlib import Path

    import tensorflow as tf

    from trainers.input.tensor_files import ArraySource

BATCH = 16


@pytest.fixture(scope="module")
def kept(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ArraySource, Selection]:
    dataset = open_dataset(shapes)
    selection = select_split(dataset, "train")
    shards = ShardSource.from_dataset(dataset, ImageShape(6, 8))
    below = tmp_path_factory.mktemp("kept")
    return build_disk_cache(shards, selection, below=below, on_message=lambda _: None), selection


def read(batches: tf.data.Dataset) -> list[tuple[int, bytes]]:
    return [
        (int(label), array.tobytes())
        for arrays, labels in batches.as_numpy_iterator()
        for array, label in zip(arrays, labels, strict=True)
    ]


def test_batches_in_order_hold_same_records_as_streaming(
    kept: tuple[ArraySource, Selection],
) -> None:
    source, train = kept
    held, streamed = batches_in_order(source, train, BATCH), ordered_batches(source, train, BATCH)
    assert sorted(read(held)) == sorted(read(streamed))
    assert read(held) == read(batches_in_order(source, train, BATCH))
    assert held.element_spec[0].dtype == streamed.element_spec[0].dtype


def test_batches_in_order_masked_selection_holds_selected_records(
    kept: tuple[ArraySource, Selection],
) -> None:
    source, train = kept
    even = tuple(np.arange(shard.records) % 2 == 0 for shard in train.shards)
    half = dataclasses.replace(train, mask=even)
    held = read(batches_in_order(source, half, BATCH))
    assert sorted(held) == sorted(read(ordered_batches(source, half, BATCH)))


def test_shuffled_batches_each_epoch_has_every_record_once_in_seeded_order(
    kept: tuple[ArraySource, Selection],
) -> None:
    source, train = kept
    stored = read(batches_in_order(source, train, BATCH))
    first = read(shuffled_in_memory(source, train, BATCH, ShuffleSpec(seed=7, end_epoch=2)))
    epochs = first[: len(stored)], first[len(stored) :]
    assert [sorted(epoch) for epoch in epochs] == [sorted(stored)] * 2
    assert stored != epochs[0] != epochs[1] != stored
    again = read(
        shuffled_in_memory(source, train, BATCH, ShuffleSpec(seed=7, end_epoch=2, first_epoch=1))
    )
    assert again == epochs[1]
    other = read(shuffled_in_memory(source, train, BATCH, ShuffleSpec(seed=8, end_epoch=1)))
    assert sorted(other) == sorted(stored)
    assert other != epochs[0]


def test_shuffled_batches_resumed_inside_epoch_continue_its_order(
    kept: tuple[ArraySource, Selection],
) -> None:
    source, train = kept
    whole = read(shuffled_in_memory(source, train, BATCH, ShuffleSpec(seed=2**32 - 1, end_epoch=1)))
    rest = ShuffleSpec(seed=2**32 - 1, end_epoch=1, first_step=3)
    assert read(shuffled_in_memory(source, train, BATCH, rest)) == whole[3 * BATCH :]
