"""A split as batches for several workers: each record is one's, all have as many steps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from records.dataset import open_dataset
from records.errors import UsageError
from trainers.input.dataset import read_batches

if TYPE_CHECKING:
    from pathlib import Path

    import tensorflow as tf

SIDE_PX = 24


def read(batches: tf.data.Dataset) -> list[list[bytes]]:
    """The pixels of each image, by batch."""
    return [[image.tobytes() for image in images] for images, _ in batches.as_numpy_iterator()]


def read_worker(folder: Path, index: int, count: int, **options: object) -> list[list[bytes]]:
    batches = read_batches(
        folder,
        image_size=SIDE_PX,
        batch_size=8,
        shard_index=index,
        shard_count=count,
        **options,  # type: ignore[arg-type]
    )
    return read(batches)


@pytest.fixture(scope="module")
def everything(shapes: Path) -> Counter[bytes]:
    batches = read(read_batches(shapes, image_size=SIDE_PX, batch_size=8, shuffle=False))
    images = Counter(image for batch in batches for image in batch)
    assert images.total() == len(open_dataset(shapes)["train"])
    return images


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_as_tf_dataset_unshuffled_workers_read_each_record_once(
    shapes: Path, everything: Counter[bytes], count: int
) -> None:
    workers = [read_worker(shapes, index, count, shuffle=False) for index in range(count)]
    assert Counter(image for batches in workers for batch in batches for image in batch) == (
        everything
    )


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_as_tf_dataset_shuffled_workers_have_equal_step_counts(
    shapes: Path, everything: Counter[bytes], count: int
) -> None:
    workers = [read_worker(shapes, index, count, epochs=2) for index in range(count)]
    sizes = {tuple(map(len, batches)) for batches in workers}
    assert len(sizes) == 1
    largest = -(-everything.total() // count)
    assert sum(sizes.pop()) == 2 * largest
    for epoch in range(2):
        found: Counter[bytes] = Counter()
        for batches in workers:
            images = [image for batch in batches for image in batch]
            found += Counter(images[epoch * largest : (epoch + 1) * largest])
        assert found >= everything
        assert found.total() - everything.total() < count  # what smaller parts give twice


def test_as_tf_dataset_length_equals_number_of_batches(shapes: Path) -> None:
    batches = read_batches(shapes, image_size=SIDE_PX, batch_size=8, epochs=3, shard_count=2)
    assert len(batches) == len(read(batches))


def test_as_tf_dataset_same_seed_gives_same_order(shapes: Path) -> None:
    first, again = (read_worker(shapes, 1, 3, seed=5) for _ in range(2))
    assert first == again
    assert first != read_worker(shapes, 1, 3, seed=6)


def test_as_tf_dataset_more_workers_than_records_is_refused(shapes: Path) -> None:
    with pytest.raises(UsageError, match="fewer records than there are workers"):
        read_batches(shapes, image_size=SIDE_PX, batch_size=8, shard_count=1000)
