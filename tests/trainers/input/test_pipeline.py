"""What the input gives a model: every record once an epoch, in an order that the seed decides."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pytest
from msgspec import UNSET

from records.dataset import open_dataset
from records.images import ImageOptions
from tests.trainers.conftest import write_shapes
from trainers.config import ImageShape
from trainers.input.pipeline import ShardSource, cached_batches, ordered_batches, shuffled_batches
from trainers.input.selection import Selection, count_steps, select_for_training, select_split
from trainers.input.shuffle import ShuffleSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import tensorflow as tf
    from numpy.typing import NDArray

    from records.dataset import Dataset
    from records.format.image_options import Store

SHAPE = ImageShape(24, 32)


def read(batches: tf.data.Dataset) -> list[tuple[int, bytes]]:
    """Each record as its label and pixels, in order."""
    return [
        (int(label), image.tobytes())
        for images, labels in batches.as_numpy_iterator()
        for image, label in zip(images, labels, strict=True)
    ]


def source_and_train(folder: Path | str) -> tuple[ShardSource, Selection]:
    dataset = open_dataset(folder)
    return ShardSource.from_dataset(dataset, SHAPE), select_split(dataset, "train")


def test_ordered_batches_are_uint8_and_int64_with_smaller_last_batch(shapes: Path) -> None:
    source, train = source_and_train(shapes)
    batches = list(ordered_batches(source, train, 16).as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [16] * 9 + [6]
    assert count_steps(train.records, 16) == len(batches)
    assert {images.shape[1:] for images, _ in batches} == {SHAPE.array_shape}
    assert {(images.dtype, labels.dtype) for images, labels in batches} == {
        (np.dtype("uint8"), np.dtype("int64"))
    }


@pytest.mark.parametrize("cached", [False, True])
def test_shuffled_batches_each_epoch_has_every_record_once_in_new_order(
    shapes: Path, cached: bool
) -> None:
    source, train = source_and_train(shapes)
    stored = read(ordered_batches(source, train, 16))
    shuffle = cached_batches if cached else shuffled_batches
    first = read(shuffle(source, train, 16, ShuffleSpec(seed=7, end_epoch=2)))
    epochs = first[:150], first[150:]
    assert [sorted(epoch) for epoch in epochs] == [sorted(stored)] * 2
    assert stored != epochs[0] != epochs[1] != stored
    assert read(shuffle(source, train, 16, ShuffleSpec(seed=7, end_epoch=2))) == first
    assert read(shuffle(source, train, 16, ShuffleSpec(seed=8, end_epoch=1))) != epochs[0]
    assert (
        read(shuffle(source, train, 16, ShuffleSpec(seed=7, end_epoch=2, first_epoch=1)))
        == epochs[1]
    )


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_shuffled_batches_extreme_seed_gives_reproducible_order(shapes: Path, seed: int) -> None:
    source, train = source_and_train(shapes)
    orders = [
        read(shuffled_batches(source, train, 16, ShuffleSpec(seed, end_epoch=1))) for _ in range(2)
    ]
    assert orders[0] == orders[1] != read(ordered_batches(source, train, 16))


def test_shuffled_batches_move_records_far_apart(shapes: Path) -> None:
    source, train = source_and_train(shapes)
    stored = read(ordered_batches(source, train, 16))
    shuffled = read(shuffled_batches(source, train, 16, ShuffleSpec(seed=0, end_epoch=1)))
    moved = [abs(place - stored.index(record)) for place, record in enumerate(shuffled)]
    # A random permutation of n moves a record by n / 3 on average.
    assert 30 < np.mean(moved) < 70


def test_ordered_batches_training_and_validation_share_no_record(shapes: Path) -> None:
    dataset = open_dataset(shapes)
    source = ShardSource.from_dataset(dataset, SHAPE)
    training, validation = select_for_training(dataset, None)
    parts = [read(ordered_batches(source, part, 16)) for part in (training, validation)]
    assert [len(part) for part in parts] == [training.records, validation.records]
    whole = read(ordered_batches(source, select_split(dataset, "train"), 16))
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    shuffled = read(shuffled_batches(source, training, 16, ShuffleSpec(seed=1, end_epoch=1)))
    assert sorted(shuffled) == sorted(parts[0])


def test_cached_batches_later_epochs_do_not_read_shards(shapes: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(shapes, copy)
    source, train = source_and_train(copy)
    batches = cached_batches(
        source, train, 15, ShuffleSpec(seed=0, end_epoch=3)
    ).as_numpy_iterator()
    first = [next(batches) for _ in range(10)]
    for shard in copy.glob("train-*"):
        shard.unlink()
    later = list(batches)
    assert len(later) == 20
    assert sum(len(labels) for _, labels in first + later) == 450


def test_ordered_batches_url_equals_local_folder(shapes: Path) -> None:
    files = fsspec.filesystem("memory")
    files.put(f"{shapes}/", "/trainers-input/", recursive=True)
    local, remote = (
        read(ordered_batches(*source_and_train(place), 16))
        for place in (shapes, "memory://trainers-input")
    )
    assert local == remote


def decoded_by_pillow(dataset: Dataset, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    from records.images import decode_record_image

    for record in dataset["train"]:
        pixels = decode_record_image(
            record.image, record.format, record.width, record.height, record.channels
        )
        assert pixels.shape[:2] == size
        yield pixels


@pytest.mark.parametrize(
    "options",
    [
        ImageOptions(resize=(32, 24)),
        ImageOptions(resize=(32, 24), store="png"),
        ImageOptions(resize=(32, 24), store="raw"),
        ImageOptions(resize=(32, 24), channels=1),
        ImageOptions(resize=(32, 24), channels=1, store="raw"),
        ImageOptions(resize=(32, 24), store="mixed", raw_share=0.5),
        ImageOptions(resize=(32, 24), channels=1, store="mixed", raw_share=0.5),
    ],
    ids=lambda options: f"{options.store}-{options.channels}",
)
def test_ordered_batches_image_of_model_size_equals_pillow_pixels(
    tmp_path: Path, options: ImageOptions
) -> None:
    write_shapes(tmp_path, {"train": [range(12)]}, options)
    dataset = open_dataset(tmp_path)
    shape = ImageShape(24, 32, options.channels)
    selection = select_split(dataset, "train")
    batches = ordered_batches(
        ShardSource.from_dataset(dataset, shape), selection, 5
    ).as_numpy_iterator()
    images = np.concatenate([images for images, _ in batches])
    expected = np.stack(list(decoded_by_pillow(dataset, (24, 32))))
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("store", ["png", "raw", "mixed"])
def test_ordered_batches_channels_are_converted_to_those_of_model(
    tmp_path: Path, store: Store
) -> None:
    for channels, wanted in ((1, 3), (3, 1)):
        folder = tmp_path / f"{channels}"
        share = 0.5 if store == "mixed" else UNSET
        options = ImageOptions(resize=(32, 24), channels=channels, store=store, raw_share=share)  # type: ignore[arg-type]
        write_shapes(folder, {"train": [range(6)]}, options)
        dataset = open_dataset(folder)
        expected = np.stack(list(decoded_by_pillow(dataset, (24, 32))))
        source = ShardSource.from_dataset(dataset, ImageShape(24, 32, wanted))  # type: ignore[arg-type]
        ((images, _),) = ordered_batches(
            source, select_split(dataset, "train"), 6
        ).as_numpy_iterator()
        assert images.shape == (6, 24, 32, wanted)
        luma = expected @ [0.299, 0.587, 0.114] if channels == 3 else expected[..., 0]
        assert np.abs(images - luma[..., None]).max() <= 1.5


def test_ordered_batches_resized_images_match_block_means(shapes: Path) -> None:
    source, train = source_and_train(shapes)
    half = ShardSource(source.storage, source.options, ImageShape(12, 16))
    large = np.concatenate([x for x, _ in ordered_batches(source, train, 50).as_numpy_iterator()])
    small = np.concatenate([x for x, _ in ordered_batches(half, train, 50).as_numpy_iterator()])
    block_means = large.reshape(150, 12, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.abs(block_means - small).mean() < 12
