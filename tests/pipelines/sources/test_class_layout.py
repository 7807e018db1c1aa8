from __future__ import annotations

import pytest

from pipelines.sources.class_layout import (
    assign_labels,
    assign_labels_from_list,
    check_not_split,
    choose_labels,
    class_folders,
    parse_key,
)
from records.errors import UsageError
from records.format.layout import detect_layout
from records.text.names import class_name

NFC, NFD = "é", "e\N{COMBINING ACUTE ACCENT}"


@pytest.mark.parametrize(
    ("folders", "layout"),
    [
        ([b"cat", b"dog"], "classes"),
        ([b"train", b"test"], "splits"),
        ([b"train", b"train/cat", b"val"], "splits"),
        ([b"Train", b"TEST", b"Valid"], "splits"),
        ([b"train", b"validation"], "splits"),
        ([b"test"], "splits"),
        ([b"train", b"cat"], "classes"),
        ([b"Training", b"Testing"], "splits"),
        ([b"training_set", b"test_set"], "splits"),
        ([b"train", b"test1"], "splits"),
        ([b"train2017", b"val2017"], "splits"),
        ([b"train-images", b"DEV", b"Hold out"], "classes"),
        ([b"train-images", b"DEV", b"holdout"], "splits"),
        ([b"Split-train", b"Split-eval"], "splits"),
        ([b"split_train", b"split-cat"], "classes"),
        ([b"train", b"test2"], "classes"),
        ([b"trainer", b"test"], "classes"),
        ([b"cat", b"cat/train"], "classes"),
        ([], "classes"),
    ],
)
def test_detect_layout_is_splits_only_if_every_top_folder_is_a_split(
    folders: list[bytes], layout: str
) -> None:
    assert detect_layout(folders) == layout


@pytest.mark.parametrize(
    ("key", "layout", "place"),
    [
        (b"cat/1.png", "classes", (b"cat", None)),
        (b"cat/deep/er/1.png", "classes", (b"cat", None)),
        (b"1.png", "classes", (None, None)),
        (b"train/cat/1.png", "splits", (b"cat", "train")),
        (b"VAL/cat/deep/1.png", "splits", (b"cat", "validation")),
        (b"valid/cat/1.png", "splits", (b"cat", "validation")),
        (b"test/1.png", "splits", (None, "test")),
        (b"1.png", "splits", (None, None)),
        (b"train/cat/1.png", "classes", (b"train", None)),
    ],
)
def test_parse_key_any_depth_gives_class_and_split(
    key: bytes, layout: str, place: tuple[bytes | None, str | None]
) -> None:
    assert parse_key(key, layout) == place  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "layout", "class_folder"),
    [
        (b"a/b/1.png", "classes", b"b"),
        (b"a/1.png", "classes", b"a"),
        (b"1.png", "classes", None),
        (b"train/a/b/1.png", "splits", b"b"),
        (b"train/1.png", "splits", None),
    ],
)
def test_parse_key_leaf_class_is_the_innermost_folder(
    key: bytes, layout: str, class_folder: bytes | None
) -> None:
    assert parse_key(key, layout, leaf_class=True).class_folder == class_folder  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "folders",
    [
        [b"train", b"test", b"extra"],
        [b"train_a", b"test_a"],
        [b"Train Data v2", b"validation of 2020"],
        [b"train", b"train/cat", b"more", b"more/cat"],
    ],
)
def test_check_not_split_folders_that_look_like_splits_are_refused(folders: list[bytes]) -> None:
    with pytest.raises(UsageError, match=r"look like splits.*--layout classes"):
        check_not_split(folders, source="s")


@pytest.mark.parametrize(
    "folders",
    [
        [b"train", b"car", b"ship"],
        [b"train", b"train/red", b"car", b"car/blue"],
        [b"cat", b"cat/a", b"dog", b"dog/a"],
        [b"test_tube", b"beaker", b"test_strip"],
        [b"cat", b"cat/train", b"cat/test"],
        [b"training"],
        [],
    ],
)
def test_check_not_split_class_folders_are_accepted(folders: list[bytes]) -> None:
    check_not_split(folders, source="s")


def test_parse_key_split_layout_unknown_top_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="got extra"):
        parse_key(b"extra/cat/1.png", "splits")


def test_class_folders_each_layout_lists_class_level() -> None:
    folders = [b"train", b"train/cat", b"train/cat/x", b"test", b"test/dog"]
    assert class_folders(folders[:2] + folders[3:], "splits") == {b"cat", b"dog"}
    assert class_folders(folders, "classes") == {b"train", b"test"}


@pytest.mark.parametrize(
    ("folder", "name"),
    [(b"cat", "cat"), (NFD.encode(), NFC), (b"caf\xe9", "caf%E9"), (b"50%", "50%")],
)
def test_class_name_any_bytes_is_normalized_or_escaped(folder: bytes, name: str) -> None:
    assert class_name(folder) == name


def test_assign_labels_are_sorted_by_name_bytes() -> None:
    folders = [b"b", b"10", b"2", b"B", "é".encode(), b"~", b"a b"]
    assert list(assign_labels(folders, source="s").values()) == [
        "10", "2", "B", "a b", "b", "~", "é",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "folders",
    [
        [NFC.encode(), NFD.encode()],
        [b"caf\xe9", b"caf%E9"],
        [b"new\nline"],
        [b"bell\x07"],
        [b" "],
        ["\x85".encode()],
    ],
)
def test_assign_labels_ambiguous_or_unprintable_folders_are_refused(folders: list[bytes]) -> None:
    with pytest.raises(UsageError) as caught:
        assign_labels(folders, source="s")
    assert "\n" not in str(caught.value)


def test_assign_labels_from_list_normalizes_names_and_refuses_ambiguous_ones() -> None:
    assert assign_labels_from_list(["dog", NFD, "cat", "dog"], source="s") == {
        "cat": "cat", "dog": "dog", NFD: NFC,
    }  # fmt: skip
    for names in ([NFC, NFD], ["a\tb"], ["  "]):
        with pytest.raises(UsageError):
            assign_labels_from_list(names, source="s")


def choose(
    *present: str, classes: tuple[str, ...] | None = None, given: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    return choose_labels(present, classes=classes, given=given, source="s")


def test_choose_labels_selected_classes_keep_label_order() -> None:
    assert choose("a", "b", "c", classes=("c", "a", "a")) == ("a", "c")
    assert choose(NFC, classes=(NFD,)) == (NFC,)


def test_choose_labels_larger_label_map_is_kept_whole() -> None:
    assert choose("a", given=("z", "a")) == ("z", "a")


@pytest.mark.parametrize(
    ("classes", "given", "missing"),
    [(("a", "x"), None, "x"), (("A",), None, "A"), (None, ("a",), "b")],
)
def test_choose_labels_missing_class_is_refused_by_name(
    classes: tuple[str, ...] | None, given: tuple[str, ...] | None, missing: str
) -> None:
    with pytest.raises(UsageError, match=f"got {missing}"):
        choose("a", "b", classes=classes, given=given)


def test_choose_labels_no_classes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no classes.*into a separate folder"):
        choose()
