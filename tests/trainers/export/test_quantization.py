"""Representative images come evenly from all classes, and are always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import InputNotFoundError, UsageError
from tests.trainers.conftest import write_shapes
from trainers.export.quantization import choose_evenly, plan_quantization, select_evenly
from trainers.input.selection import select_split
from trainers.runs.run_dir import open_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(20))
def test_choose_evenly_takes_from_each_class_at_most_one_more_than_needed(seed: int) -> None:
    random = np.random.default_rng(seed)
    classes = int(random.integers(1, 9))
    labels = random.integers(0, classes, int(random.integers(1, 200)))
    count = int(random.integers(1, 250))
    chosen = choose_evenly(labels, count)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, len(labels))
    of_class = np.bincount(labels[chosen], minlength=classes)
    available = np.bincount(labels, minlength=classes)
    # A class with fewer chosen images than another has no more images, or is one behind.
    limited = of_class < of_class.max() - 1
    assert (of_class[limited] == available[limited]).all()
    np.testing.assert_array_equal(chosen, choose_evenly(labels, count))


def test_select_evenly_keeps_the_mask_of_each_shard(shapes: Path) -> None:
    dataset = open_dataset(shapes)
    train = select_split(dataset, "train")
    first = tuple(np.arange(shard.records) < 10 for shard in train.shards)
    selected = select_evenly(dataset, train.without([~kept for kept in first]), 12)
    assert selected.records == 12
    for chosen, kept in zip(selected.shard_masks, first, strict=True):
        assert not (chosen & ~kept).any()
    assert select_evenly(dataset, train, 1000).records == train.records


def test_plan_quantization_separates_representative_from_checked_images(
    run_path: Path, shapes: Path, tmp_path: Path
) -> None:
    run = open_run(run_path)
    plan = plan_quantization(run, shapes)
    assert (plan.representative.split, plan.representative.records) == ("train", 150)
    assert (plan.checked.split, plan.checked.records) == ("test", 60)
    with pytest.raises(InputNotFoundError, match="no finished dataset"):
        plan_quantization(run, tmp_path / "absent")
    write_shapes(tmp_path / "data", {"test": [range(150, 156)]})
    small = plan_quantization(run, tmp_path / "data")
    assert (small.representative.split, small.representative.records) == ("test", 6)


def test_plan_quantization_other_classes_are_refused(run_path: Path, tmp_path: Path) -> None:
    from records.storage import open_storage
    from tests.datasets import DatasetBuilder, make_sources

    DatasetBuilder(open_storage(tmp_path / "data")).build({"train": [make_sources(12)]})
    with pytest.raises(UsageError, match="the dataset and the run"):
        plan_quantization(open_run(run_path), tmp_path / "data")
