"""`as_tf_dataset`: batches for Keras, TensorFlow and JAX, on one machine or several."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import UsageError
from records.images import ImageOptions
from tests.trainers.conftest import LABELS, write_shapes
from trainers.input import as_tf_dataset
from trainers.input.selection import select_for_training

if TYPE_CHECKING:
    from pathlib import Path

    import tensorflow as tf

    from records.format.layout import SplitName

SIDE_PX = 24


def read(batches: tf.data.Dataset) -> list[list[bytes]]:
    """The pixels of each image, by batch."""
    return [[image.tobytes() for image in images] for images, _ in batches.as_numpy_iterator()]


def count(batches: list[list[bytes]]) -> Counter[bytes]:
    return Counter(image for batch in batches for image in batch)


def read_worker(
    folder: Path, index: int, count: int, epochs: int = 1, **options: object
) -> list[list[bytes]]:
    batches = as_tf_dataset(
        folder,
        image_size=SIDE_PX,
        batch_size=8,
        shard_index=index,
        shard_count=count,
        **options,  # type: ignore[arg-type]
    )
    return read(batches.repeat(epochs))


@pytest.fixture(scope="module")
def everything(shapes: Path) -> Counter[bytes]:
    batches = read(as_tf_dataset(shapes, image_size=SIDE_PX, batch_size=8))
    images = Counter(image for batch in batches for image in batch)
    assert images.total() == len(open_dataset(shapes)["train"])
    return images


@pytest.mark.parametrize(
    "count",
    [1, 2, 3, pytest.param(7, marks=pytest.mark.slow), pytest.param(12, marks=pytest.mark.slow)],
)
def test_as_tf_dataset_unshuffled_workers_read_each_record_once(
    shapes: Path, everything: Counter[bytes], count: int
) -> None:
    workers = [read_worker(shapes, index, count) for index in range(count)]
    assert Counter(image for batches in workers for batch in batches for image in batch) == (
        everything
    )


@pytest.mark.parametrize("count", [1, 2, 7, pytest.param(12, marks=pytest.mark.slow)])
def test_as_tf_dataset_padded_workers_have_equal_step_counts(
    shapes: Path, everything: Counter[bytes], count: int
) -> None:
    workers = [
        read_worker(shapes, index, count, epochs=2, shuffle=True, pad=True)
        for index in range(count)
    ]
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
    batches = as_tf_dataset(shapes, image_size=SIDE_PX, batch_size=8, shard_count=2)
    assert len(batches) == len(read(batches))


def test_as_tf_dataset_same_seed_gives_same_order(shapes: Path) -> None:
    first, again = (read_worker(shapes, 1, 3, shuffle=True, seed=5) for _ in range(2))
    assert first == again
    assert first != read_worker(shapes, 1, 3, shuffle=True, seed=6)


def test_as_tf_dataset_more_workers_than_records_is_refused(shapes: Path) -> None:
    with pytest.raises(UsageError, match="fewer records than there are workers"):
        as_tf_dataset(shapes, image_size=SIDE_PX, batch_size=8, shard_count=1000)


@pytest.fixture(scope="module")
def same_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 records of 20 x 16 pixels to train on, 8 to validate on."""
    folder: Path = tmp_path_factory.mktemp("same") / "data"
    splits: dict[SplitName, list[range]] = {
        "train": [range(25), range(25, 40)],
        "validation": [range(40, 48)],
    }
    write_shapes(folder, splits, ImageOptions(resize=(16, 20)))
    return folder


def test_as_tf_dataset_defaults_use_size_of_dataset(same_size: Path) -> None:
    for location in (same_size, str(same_size), open_dataset(same_size)):
        batches = as_tf_dataset(location)
        (images, labels), (rest, _) = batches.as_numpy_iterator()
        assert images.shape == (32, 20, 16, 3)
        assert (images.dtype, labels.dtype) == ("uint8", "int64")
        assert len(rest) == 8
        assert batches.class_names == list(LABELS)
        assert batches.cardinality() == 2


def test_as_tf_dataset_images_of_several_sizes_need_image_size(shapes: Path) -> None:
    with pytest.raises(UsageError, match=r"differ in size; pass image_size=\(height, width\)"):
        as_tf_dataset(shapes)
    images, _ = next(as_tf_dataset(shapes, image_size=(9, 7)).as_numpy_iterator())
    assert images.shape == (32, 9, 7, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "trian"}, "has no split trian, got train, validation; did you mean train?"),
        ({"image_size": (0, 3)}, "invalid image_size"),
        ({"image_size": "big"}, "invalid image_size"),
        ({"batch_size": 0}, "argument batch_size: expected `int` >= 1"),
        ({"seed": -1}, "argument seed: expected `int` >= 0"),
        (
            {"cache": "tape"},
            "argument cache: invalid enum value 'tape'",
        ),
        ({"cache": True, "augment": "crop"}, "cache and crop cannot be combined"),
        ({"augment": "flipp"}, "did you mean flip"),
        ({"shard_index": 2, "shard_count": 2}, "shard_index"),
    ],
)
def test_as_tf_dataset_invalid_argument_is_refused(
    same_size: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        as_tf_dataset(same_size, **arguments)


def test_as_tf_dataset_dataset_of_one_worker_is_refused(same_size: Path) -> None:
    part = open_dataset(same_size, shard_index=1, shard_count=2)
    with pytest.raises(UsageError, match="pass shard_index to as_tf_dataset"):
        as_tf_dataset(part)


@pytest.mark.parametrize("cache", [False, True, "disk"])
def test_as_tf_dataset_each_iteration_has_its_own_order(
    same_size: Path, cache: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    batches = as_tf_dataset(same_size, batch_size=8, shuffle=True, cache=cache)
    first, second = read(batches), read(batches)
    assert first != second
    everything = read(as_tf_dataset(same_size, batch_size=8))
    assert count(first) == count(second) == count(everything)
    again = as_tf_dataset(same_size, batch_size=8, shuffle=True, cache=cache)
    assert read(again.repeat(2)) == first + second


def test_as_tf_dataset_repeat_never_ends(same_size: Path) -> None:
    batches = as_tf_dataset(same_size, batch_size=8, shuffle=True, repeat=True)
    assert batches.cardinality() == -1  # infinite
    once = as_tf_dataset(same_size, batch_size=8, shuffle=True)
    assert read(batches.take(10)) == read(once) + read(once)


def test_as_tf_dataset_drop_remainder_makes_shapes_static(same_size: Path) -> None:
    batches = as_tf_dataset(same_size, drop_remainder=True)
    assert batches.element_spec[0].shape == (32, 20, 16, 3)
    assert len(batches) == len(read(batches)) == 1


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("flip", {}),
        ("rotate=30,zoom=0.2", {"shuffle": True}),
        ("contrast=0.5,brightness=0.3", {"cache": True}),
        *(
            pytest.param(words, options, marks=pytest.mark.slow)
            for words in ("flip", "rotate=30,zoom=0.2", "contrast=0.5,brightness=0.3")
            for options in ({}, {"shuffle": True}, {"cache": True})
        ),
    ],
)
def test_as_tf_dataset_augment_varies_images_by_seed_and_iteration(
    same_size: Path, words: str, options: dict[str, Any]
) -> None:
    batches = as_tf_dataset(same_size, augment=words, seed=1, **options)
    plain = read(as_tf_dataset(same_size, seed=1, **options))
    first, second = read(batches), read(batches)
    assert first not in (second, plain)
    again = as_tf_dataset(same_size, augment=words, seed=1, **options)
    assert [read(again), read(again)] == [first, second]


def test_as_tf_dataset_crop_varies_images(same_size: Path) -> None:
    batches = as_tf_dataset(same_size, augment="crop")
    assert read(batches) not in (read(batches), read(as_tf_dataset(same_size)))


def test_as_tf_dataset_holdout_divides_train_as_training_does(
    shapes: Path, same_size: Path
) -> None:
    def records(folder: Path, split: str, *, holdout: bool = True) -> int:
        batches = as_tf_dataset(folder, split, image_size=8, batch_size=1, holdout=holdout)
        return len(batches)

    training, validation = select_for_training(open_dataset(shapes), None)
    assert (records(shapes, "train"), records(shapes, "validation")) == (
        training.records,
        validation.records,
    )
    assert records(shapes, "train", holdout=False) == 150
    with pytest.raises(UsageError, match="no split validation, got test, train; pass holdout=True"):
        records(shapes, "validation", holdout=False)
    assert (records(same_size, "train"), records(same_size, "validation")) == (40, 8)


def test_as_tf_dataset_works_in_fit_gradient_tape_and_numpy_loop(same_size: Path) -> None:
    import keras
    import tensorflow as tf

    batches = as_tf_dataset(same_size, shuffle=True)
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(len(LABELS))])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    history = model.fit(batches, validation_data=as_tf_dataset(same_size, "validation"), verbose=0)
    assert set(history.history) == {"loss", "val_loss"}
    for images, labels in batches:
        with tf.GradientTape() as tape:
            value = loss(labels, model(tf.cast(images, tf.float32)))
        assert len(tape.gradient(value, model.trainable_variables)) == 2
    assert sum(len(labels) for _, labels in batches.as_numpy_iterator()) == 40


@pytest.mark.parametrize("cache", [False, "memory", "disk"])
def test_as_tf_dataset_unshuffled_has_the_order_of_open_dataset(
    same_size: Path, cache: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    batches = as_tf_dataset(same_size, batch_size=7, cache=cache)
    for _ in range(2):
        images = [image for batch, _ in batches.as_numpy_iterator() for image in batch]
        records = open_dataset(same_size)["train"]
        assert len(images) == len(records)
        for image, record in zip(images, records, strict=True):
            np.testing.assert_array_equal(image, record.decode())
