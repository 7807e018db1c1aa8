from __future__ import annotations

import pytest

from pipelines.sources.class_layout import (
    assign_labels,
    assign_labels_from_list,
    choose_labels,
    class_folders,
    class_name,
    detect_layout,
    parse_key,
)
from records.errors import UsageError

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
        ([b"train", b"testing"], "classes"),
        ([b"cat", b"cat/train"], "classes"),
        ([], "classes"),
    ],
)
def test_splits_only_where_every_top_folder_is_one(folders: list[bytes], layout: str) -> None:
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
def test_place(key: bytes, layout: str, place: tuple[bytes | None, str | None]) -> None:
    assert parse_key(key, layout) == place  # type: ignore[arg-type]


def test_with_splits_asked_for_another_top_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="got extra"):
        parse_key(b"extra/cat/1.png", "splits")


def test_class_folders() -> None:
    folders = [b"train", b"train/cat", b"train/cat/x", b"test", b"test/dog"]
    assert class_folders(folders[:2] + folders[3:], "splits") == {b"cat", b"dog"}
    assert class_folders(folders, "classes") == {b"train", b"test"}


@pytest.mark.parametrize(
    ("folder", "name"),
    [(b"cat", "cat"), (NFD.encode(), NFC), (b"caf\xe9", "caf%E9"), (b"50%", "50%")],
)
def test_class_name(folder: bytes, name: str) -> None:
    assert class_name(folder) == name


def test_labels_follow_the_bytes_of_the_name() -> None:
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
def test_folders_that_cannot_be_told_apart_or_shown_are_refused(folders: list[bytes]) -> None:
    with pytest.raises(UsageError) as caught:
        assign_labels(folders, source="s")
    assert "\n" not in str(caught.value)


def test_names_of_a_list_likewise() -> None:
    assert assign_labels_from_list(["dog", NFD, "cat", "dog"], source="s") == {
        "cat": "cat", "dog": "dog", NFD: NFC,
    }  # fmt: skip
    for names in ([NFC, NFD], ["a\tb"], ["  "]):
        with pytest.raises(UsageError):
            assign_labels_from_list(names, source="s")


def choose(*present: str, classes=None, given=None) -> tuple[str, ...]:
    return choose_labels(present, classes=classes, given=given, source="s")


def test_chosen_classes_keep_the_order_of_labels() -> None:
    assert choose("a", "b", "c", classes=("c", "a", "a")) == ("a", "c")
    assert choose(NFC, classes=(NFD,)) == (NFC,)


def test_a_given_label_map_may_have_more_classes() -> None:
    assert choose("a", given=("z", "a")) == ("z", "a")


@pytest.mark.parametrize(
    ("classes", "given", "missing"),
    [(("a", "x"), None, "x"), (("A",), None, "A"), (None, ("a",), "b")],
)
def test_missing_classes_are_named(
    classes: tuple[str, ...] | None, given: tuple[str, ...] | None, missing: str
) -> None:
    with pytest.raises(UsageError, match=f"got {missing}"):
        choose("a", "b", classes=classes, given=given)


def test_no_class_at_all() -> None:
    with pytest.raises(UsageError, match=r"no classes.*a folder of its own"):
        choose()
