"""What is trained on and what is measured on: exact, the same every time, and never mixed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shardmill as sm
from records.dataset import open_dataset
from records.errors import UsageError
from tests.datasets import encode_picture
from tests.trainers.conftest import write_shapes
from trainers.input.selection import Selection, select_for_evaluation, select_for_training

if TYPE_CHECKING:
    from pathlib import Path

    from records.dataset import Dataset


def chosen_keys(dataset: Dataset, selection: Selection) -> set[str]:
    keys = [record.key for record in dataset[selection.split]]
    if selection.mask is None:
        return set(keys)
    return {key for key, kept in zip(keys, np.concatenate(selection.mask), strict=True) if kept}


def test_select_for_training_no_validation_split_holds_out_tenth_of_train(shapes: Path) -> None:
    dataset = open_dataset(shapes)
    training, validation = select_for_training(dataset, None)
    trained, validated = chosen_keys(dataset, training), chosen_keys(dataset, validation)
    assert trained.isdisjoint(validated)
    assert trained | validated == {record.key for record in dataset["train"]}
    assert (len(trained), len(validated)) == (training.records, validation.records)
    assert 5 <= len(validated) <= 30
    assert (training.purpose, validation.purpose) == ("train", "validation")


def test_holdout_different_sharding_selects_same_records(shapes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_shapes(other, {"train": [range(149, 70, -1), [], range(71)]})
    first, second = open_dataset(shapes), open_dataset(other)
    assert chosen_keys(first, select_for_training(first, None)[1]) == chosen_keys(
        second, select_for_training(second, None)[1]
    )


def test_holdout_grown_dataset_keeps_its_records(shapes: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / "grown", {"train": [range(400)]})
    first, grown = open_dataset(shapes), open_dataset(tmp_path / "grown")
    kept = chosen_keys(first, select_for_training(first, None)[1])
    trained = chosen_keys(grown, select_for_training(grown, None)[0])
    assert kept.isdisjoint(trained)


def test_holdout_two_images_are_accepted_and_one_is_refused(tmp_path: Path) -> None:
    write_shapes(tmp_path / "two", {"train": [range(2)]})
    parts = select_for_training(open_dataset(tmp_path / "two"), None)
    assert [part.records for part in parts] == [1, 1]
    write_shapes(tmp_path / "one", {"train": [range(1)]})
    with pytest.raises(UsageError, match="too few images"):
        select_for_training(open_dataset(tmp_path / "one"), None)


def test_select_for_training_existing_validation_split_is_used_whole(tmp_path: Path) -> None:
    write_shapes(tmp_path, {"train": [range(6)], "validation": [range(6, 9)], "test": [[9]]})
    dataset = open_dataset(tmp_path)
    training, validation = select_for_training(dataset, None)
    assert (training.records, validation.records) == (6, 3)
    assert (training.mask, validation.mask) == (None, None)
    assert select_for_evaluation(dataset, None).split == "test"
    assert select_for_evaluation(dataset, "validation").split == "validation"
    assert select_for_evaluation(dataset, "train").records == 6


def test_select_for_evaluation_no_test_split_uses_training_holdout(tmp_path: Path) -> None:
    write_shapes(tmp_path, {"train": [range(20)]})
    dataset = open_dataset(tmp_path)
    tenth = select_for_training(dataset, None)[1]
    for split in (None, "validation"):
        selection = select_for_evaluation(dataset, split)
        assert chosen_keys(dataset, selection) == chosen_keys(dataset, tenth)


@pytest.mark.parametrize("split", ["test", "train"])
def test_select_for_training_validation_on_test_or_train_is_refused(
    shapes: Path, split: str
) -> None:
    with pytest.raises(UsageError, match=f"cannot be validated on {split}"):
        select_for_training(open_dataset(shapes), split)


def test_select_for_training_missing_split_is_refused_by_name(tmp_path: Path, shapes: Path) -> None:
    write_shapes(tmp_path, {"train": [[]], "test": [range(3)]})
    with pytest.raises(UsageError, match="no split train, got test"):
        select_for_training(open_dataset(tmp_path), None)
    with pytest.raises(UsageError, match="no split nonsense, got test, train"):
        select_for_training(open_dataset(shapes), "nonsense")
    with pytest.raises(UsageError, match="no split validation"):
        select_for_training(open_dataset(shapes), "validation")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("by", ["parent", "regex", "list"])
def test_holdout_never_divides_a_group(tmp_path: Path, by: str, seed: int) -> None:
    source = tmp_path / "source"
    rows = ["path,label,group"]
    for number in range(120):
        patient = number // 6
        key = f"cat/p{patient}/{number}.png" if by == "parent" else f"cat/p{patient}-{number}.png"
        (source / key).parent.mkdir(parents=True, exist_ok=True)
        (source / key).write_bytes(encode_picture(number))
        rows.append(f"{key},cat,{f'patient {patient}' if number >= 30 else ''}")
    given: dict[str, Any] = {"group_by": "parent" if by == "parent" else r"p\d+-"}
    if by == "list":
        (tmp_path / "list.csv").write_text("\n".join(rows))
        given = {"list": tmp_path / "list.csv"}
    sm.convert(source, tmp_path / "data", test=0.2, seed=seed, **given)
    dataset = open_dataset(tmp_path / "data")
    training, validation = select_for_training(dataset, None)
    trained, validated = chosen_keys(dataset, training), chosen_keys(dataset, validation)
    assert validated
    shared = patients(trained) & patients(validated)
    assert shared <= ({f"p{number}" for number in range(5)} if by == "list" else set())


def patients(keys: set[str]) -> set[str]:
    return {match[0] for key in keys if (match := re.search(r"p\d+", key))}
