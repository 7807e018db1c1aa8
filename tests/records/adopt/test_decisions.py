"""What an adoption decides: splits by names, labels by numbers and names, names that are safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from records.adopt.infer_classes import ClassReference, GivenLabels, decide_classes
from records.adopt.infer_schema import parse_features
from records.adopt.infer_splits import choose_split, parse_split_rules
from records.adopt.scan import locate_files, require_own_indexes
from records.adopt.unpack import FileToAdopt
from records.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from records.adopt.infer_classes import FirstLabel

LABELS = GivenLabels(("a", "b", "c"), "labels.txt", counts_from_1=False)
PBTXT = LABELS._replace(path="map.pbtxt", counts_from_1=True)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("flowers_train_00000-of-00005.tfrecord", "train"),
        ("mydata-train.tfrecord-00000-of-00004", "train"),
        ("pet_faces_val.record-00000-of-00010", "validation"),
        ("validation-00001-of-00128", "validation"),
        ("test.record", "test"),
        ("train/part-7", "train"),
        ("train/test.record", "test"),
    ],
)
def test_choose_split_path_with_split_word_returns_split(name: str, split: str) -> None:
    assert choose_split(name, {}) == split


@pytest.mark.parametrize("name", ["part-7", "training_and_test.record", "latest.record", "trainer"])
def test_choose_split_path_without_split_word_requires_split_rule(name: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        choose_split(name, {})
    assert choose_split(name, {name[:3] + "*": "test"}) == "test"


@pytest.mark.parametrize("text", ["train", "dev=x", "train=", "=x"])
def test_split_and_feature_rules_malformed_raise_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        parse_split_rules([text])
    with pytest.raises(UsageError, match="--feature"):
        parse_features([text])


def numbers(*labels: int) -> set[ClassReference]:
    return {ClassReference(label, "") for label in labels}


@pytest.mark.parametrize(
    ("found", "given", "asked", "expected"),
    [
        (numbers(0, 1, 2), LABELS, None, 0),
        (numbers(1, 2, 3), LABELS, None, 1),
        (numbers(1, 2), LABELS, None, 0),
        (numbers(1, 2), PBTXT, None, 1),
        (numbers(0, 2), PBTXT, None, 0),
        (numbers(1, 2), LABELS, 1, 1),
        ({ClassReference(1, "a"), ClassReference(2, "b")}, LABELS, None, 1),
        ({ClassReference(0, "a"), ClassReference(2, "c")}, LABELS, None, 0),
    ],
)
def test_decide_classes_first_label_follows_records_label_map_and_option(
    found: set[ClassReference], given: GivenLabels, asked: FirstLabel | None, expected: int
) -> None:
    classes = decide_classes(found, given, asked, path="data")
    assert (classes.labels, classes.first_label) == (LABELS.labels, expected)


@pytest.mark.parametrize(
    ("found", "given", "message"),
    [
        (numbers(0, 3), LABELS, "does not match"),
        ({ClassReference(0, "b")}, LABELS, "does not match"),
        ({ClassReference(0, "a"), ClassReference(0, "b")}, None, "more than one name"),
        (
            {ClassReference(0, "a"), ClassReference(2, "b")},
            None,
            "no record has the name of class 1",
        ),
        ({ClassReference(0, "a"), ClassReference(1, "a")}, None, "duplicate class name"),
        (numbers(0, 1 << 40), None, "out of range"),
    ],
)
def test_decide_classes_contradictory_labels_raise_usage_error(
    found: set[ClassReference], given: GivenLabels | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        decide_classes(found, given, None, path="data")


def test_decide_classes_without_label_map_takes_names_from_records() -> None:
    found = {ClassReference(2, "b"), ClassReference(1, "a"), ClassReference(1, "")}
    assert decide_classes(found, None, None, path="").labels == ("a", "b")
    unnumbered = {ClassReference(None, "ö"), ClassReference(None, "z")}
    assert decide_classes(unnumbered, None, None, path="").labels == ("z", "ö")
    assert decide_classes(numbers(0, 3), None, None, path="").labels == ("0", "1", "2", "3")


def test_locate_files_numbered_names_are_sorted_numerically(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a-10", "a-9", "sub/a-1")]
    assert locate_files(files, str(tmp_path)) == ("a-9", "a-10", "sub/a-1")


@pytest.mark.parametrize("name", [".hidden", "a\nb", "-x", ".shardmill/a", "a;b", "a{b}"])
def test_locate_files_unsafe_name_raises_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="rename the file"):
        locate_files([str(tmp_path / name)], str(tmp_path))


def test_locate_files_folder_instead_of_files_raises_usage_error_with_the_command(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=r"; shardmill adopt \S+/\*\.tfrecord\* \S+$"):
        locate_files([str(tmp_path)], str(tmp_path))


def test_locate_files_outside_folder_or_ambiguous_raise_usage_error(tmp_path: Path) -> None:
    for file in ("../a", "/etc/passwd", "memory://b/a"):
        with pytest.raises(UsageError, match="not in the output folder"):
            locate_files([file], str(tmp_path))
    assert locate_files(["memory://b/a"], "memory://b") == ("a",)
    names = ("train-00000-of-00001.tfrecord", "train-00000-of-00001")
    with pytest.raises(UsageError, match="same name"):
        require_own_indexes([FileToAdopt(name, name) for name in names], str(tmp_path))
