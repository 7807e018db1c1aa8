"""Folds of datasets: whole groups and copies, whatever the shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import shardmill as sm
from records.dataset import open_dataset
from records.errors import UsageError
from tests.datasets import encode_picture
from tests.trainers.conftest import write_shapes
from trainers.folds.dataset import read_folds
from trainers.input.selection import select_for_training

if TYPE_CHECKING:
    from pathlib import Path


def folds_of(path: Path, folds: int) -> dict[str, int]:
    """The fold of each image of train, by its key."""
    train = open_dataset(path)["train"]
    found = np.concatenate(read_folds(open_dataset(path), train.info.shards, folds))
    return dict(zip((record.key for record in train), found.tolist(), strict=True))


def test_folds_different_sharding_gives_same_folds(shapes: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path, {"train": [range(149, 70, -1), [], range(71)]})
    assert folds_of(shapes, 5) == folds_of(tmp_path, 5)
    assert {*folds_of(shapes, 5).values()} == {1, 2, 3, 4, 5}


def test_folds_of_training_are_disjoint_and_cover_train(shapes: Path) -> None:
    dataset = open_dataset(shapes)
    masks = []
    for number in range(1, 4):
        training, validation = select_for_training(dataset, None, f"{number}/3")
        assert (training.purpose, validation.purpose) == ("train", "validation")
        assert training.records + validation.records == 150
        masks.append(np.concatenate(validation.shard_masks))
        assert not (masks[-1] & np.concatenate(training.shard_masks)).any()
    assert (np.sum(masks, axis=0) == 1).all()


def test_folds_keep_groups_and_copies_whole(tmp_path: Path) -> None:
    for number in range(60):
        group = number // 5 if number < 40 else None
        # Below 40, groups of five; from 40, each picture twice under different names.
        folder = tmp_path / "photos" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number}.png" if group is None else f"p{group}_{number}.png"
        picture = encode_picture(number if group is not None else 1000 + number // 2)
        (folder / name).write_bytes(picture)
    sm.convert(tmp_path / "photos", tmp_path / "data", group_by=r"p\d+_")
    found = folds_of(tmp_path / "data", 3)
    for unit in range(8):
        assert len({fold for key, fold in found.items() if f"/p{unit}_" in key}) == 1
    plain = {int(key.split("/")[1][:-4]): fold for key, fold in found.items() if "_" not in key}
    assert all(plain[number] == plain[number + 1] for number in range(40, 60, 2))


def test_folds_more_than_images_are_refused(tmp_path: Path) -> None:
    write_shapes(tmp_path, {"train": [range(4)], "test": [range(4, 9)]})
    with pytest.raises(UsageError, match=r"more folds than images.*at most 4, got 5 folds"):
        select_for_training(open_dataset(tmp_path), None, "1/5")
    assert len({*folds_of(tmp_path, 4).values()}) == 4
