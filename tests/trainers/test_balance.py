"""Balanced epochs: every class equally often, from every step."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.dataset import open_dataset
from records.errors import UsageError
from tests.trainers.conftest import write_shapes
from tests.trainers.input.test_pipeline import SHAPE, read, source_and_train
from trainers.balance import describe_balance, draw_repeats, read_labels
from trainers.input.dataset import as_tf_dataset
from trainers.input.pipeline import cached_batches, shuffled_batches
from trainers.input.selection import select_for_training
from trainers.input.shuffle import ShuffleSpec

if TYPE_CHECKING:
    from pathlib import Path


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 2**32 - 1), st.integers(0, 99))
def test_draw_repeats_each_class_and_each_record_has_its_share(
    labels: list[int], seed: int, epoch: int
) -> None:
    given_labels = np.array(labels, np.int64)
    repeats = draw_repeats(given_labels, seed, epoch)
    assert repeats.sum() == len(labels)
    of_class = [int(repeats[given_labels == label].sum()) for label in {*labels}]
    assert max(of_class, default=0) - min(of_class, default=0) <= 1
    for label in {*labels}:
        of_record = repeats[given_labels == label]
        assert of_record.max() - of_record.min() <= 1
    np.testing.assert_array_equal(repeats, draw_repeats(given_labels, seed, epoch))


def test_draw_repeats_left_out_records_differ_between_epochs_and_seeds() -> None:
    labels = np.repeat([0, 1], [90, 10])
    drawn = [draw_repeats(labels, *place).tobytes() for place in ((1, 0), (1, 1), (2, 0))]
    assert len({*drawn}) == 3
    used = np.sum([draw_repeats(labels, 1, epoch) for epoch in range(12)], axis=0)
    assert (used > 0).all()


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset with 20 discs, 10 squares and 3 others, in two shards."""
    folder: Path = tmp_path_factory.mktemp("uneven") / "data"
    numbers = [*range(0, 60, 3), *range(1, 30, 3), 2, 5, 8]
    write_shapes(folder, {"train": [numbers[::2], numbers[1::2]]})
    return folder


@pytest.mark.parametrize("is_cached", [False, True])
def test_balanced_epochs_are_even_new_and_the_same_from_every_step(
    uneven: Path, is_cached: bool
) -> None:
    source, train = source_and_train(uneven)
    labels = read_labels(open_dataset(uneven), train)
    assert Counter(labels.tolist()) == {0: 20, 1: 10, 2: 3}
    shuffle = cached_batches if is_cached else shuffled_batches
    order = ShuffleSpec(seed=7, end_epoch=2, labels=labels)
    both = read(shuffle(source, train, 8, order))
    epochs = both[:33], both[33:]
    for epoch in epochs:
        assert Counter(label for label, _ in epoch) == {0: 11, 1: 11, 2: 11}
        assert len({pixels for label, pixels in epoch if label == 2}) == 3
        assert len({pixels for label, pixels in epoch if label == 0}) == 11
        assert [label for label, _ in epoch] != sorted(label for label, _ in epoch)
    assert sorted(epochs[0]) != sorted(epochs[1])
    resumed = order._replace(first_epoch=1, first_step=2)
    assert read(shuffle(source, train, 8, resumed)) == epochs[1][16:]


def test_balanced_epochs_use_only_the_selected_records(uneven: Path) -> None:
    dataset = open_dataset(uneven)
    source, _ = source_and_train(uneven)
    training, validation = select_for_training(dataset, None)
    labels = read_labels(dataset, training)
    assert len(labels) == training.records
    found = read(shuffled_batches(source, training, 8, ShuffleSpec(1, end_epoch=9, labels=labels)))
    plain = {*read(shuffled_batches(source, training, 8, ShuffleSpec(1, end_epoch=1)))}
    assert {*found} == plain
    assert validation.records


def test_as_tf_dataset_balanced_draws_classes_equally(uneven: Path) -> None:
    size = (SHAPE.height_px, SHAPE.width_px)
    batches = as_tf_dataset(uneven, image_size=size, shuffle=True, balanced=True)
    labels = np.concatenate([labels for _, labels in batches.as_numpy_iterator()])
    assert np.bincount(labels).tolist() == [11, 11, 11]
    with pytest.raises(UsageError, match="requires shuffle=True"):
        as_tf_dataset(uneven, image_size=size, balanced=True)


def test_describe_balance_contains_the_rarest_class() -> None:
    line = describe_balance([20, 0, 10, 3], ["disc", "none", "square", "star"])
    assert line == (
        "each of 3 classes has 11 images or one more per epoch; an image of star is used up to "
        "4 times"
    )
