"""Labels of samples in TAR archives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.errors import UsageError
from tests.pipelines.pictures import PICTURE, make_picture
from tests.pipelines.sources.containers.forms import tar_bytes


def write(path: Path, *samples: tuple[str, dict[str, bytes]]) -> None:
    files = [
        (f"{stem}.{extension}", content)
        for stem, parts in samples
        for extension, content in parts.items()
    ]
    path.write_bytes(tar_bytes(files))


def listed(source: Path | str, **options: Any) -> Sources:
    return list_sources(ConvertOptions(source=str(source), output="", **options))


def labels_of(sources: Sources) -> dict[str, str]:
    return {image.key.decode(): sources.labels[image.label] for image in sources.images}


@pytest.mark.parametrize(
    ("extension", "content", "label"),
    [
        ("cls", b"3", "3"),
        ("cls", b" cat\n", "cat"),
        ("CLS", b"cat", "cat"),
        ("json", b'{"label": 3, "caption": "a cat"}', "3"),
        ("json", b'{"class_name": "cat", "id": 7}', "cat"),
        ("txt", b"cat\n", "cat"),
    ],
)
def test_webdataset_label_is_read_from_each_kind_of_file(
    tmp_path: Path, extension: str, content: bytes, label: str
) -> None:
    samples = [(f"{number:04}", {"jpg": PICTURE, extension: content}) for number in range(3)]
    write(tmp_path / "a.tar", *samples)
    expected = {f"{number:04}.jpg": label for number in range(3)}
    found = listed(tmp_path / "a.tar")
    assert labels_of(found) == expected
    assert (found.skipped, found.layout) == (0, None)


def test_webdataset_class_file_wins_and_comes_before_or_after_the_image(tmp_path: Path) -> None:
    write(
        tmp_path / "a.tar",
        ("a", {"cls": b"1", "png": PICTURE, "json": b'{"label": 2}', "txt": b"3"}),
        ("b", {"txt": b"3", "json": b'{"label": 2}', "png": PICTURE, "cls": b"1"}),
        ("c", {"left.png": PICTURE, "right.png": PICTURE, "cls": b"1", "npy": b"x"}),
    )
    found = listed(tmp_path / "a.tar")
    assert labels_of(found) == dict.fromkeys(("a.png", "b.png", "c.left.png", "c.right.png"), "1")
    assert found.skipped == 1


def test_webdataset_image_without_label_is_a_reject(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", ("a", {"cls": b"1", "png": PICTURE}), ("b", {"png": PICTURE}))
    found = listed(tmp_path / "a.tar")
    assert labels_of(found) == {"a.png": "1"}
    assert [(reject.key, reject.reason) for reject in found.rejects] == [("b.png", "no-class")]


def test_webdataset_numbers_are_names_of_labels(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", *((str(n), {"png": PICTURE, "cls": b"%d" % n}) for n in range(2)))
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    found = listed(tmp_path / "a.tar", labels=str(tmp_path / "labels.txt"))
    assert labels_of(found) == {"0.png": "cat", "1.png": "dog"}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train-000000", "train-000001", "val-000000"), {"train", "validation"}),
        (("set-train-0", "set-train-1", "set-test-0"), {"train", "test"}),
        (("train-0", "train-1", "train-2"), set()),
        (("a-0", "a-1", "train-0"), set()),
    ],
)
def test_webdataset_names_of_shards_are_splits_if_they_differ(
    tmp_path: Path, names: tuple[str, ...], splits: set[str]
) -> None:
    for name in names:
        write(tmp_path / f"{name}.tar", (name, {"png": PICTURE, "cls": b"1"}))
    assert listed(tmp_path).splits == splits


def test_webdataset_repeated_names_get_the_shard_and_then_a_number(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.tar", ("0", {"png": PICTURE, "cls": b"1"}))
    assert set(labels_of(listed(tmp_path))) == {"a/0.png", "b/0.png"}
    sample = ("0", {"png": PICTURE, "cls": b"1"})
    write(tmp_path / "b.tar", sample, ("1", {"png": PICTURE, "cls": b"1"}), sample)
    keys = ["a/00000000.png", *(f"b/{number:08}.png" for number in range(3))]
    assert sorted(labels_of(listed(tmp_path))) == keys


def test_webdataset_captions_are_not_classes(tmp_path: Path) -> None:
    samples = [
        (str(n), {"png": PICTURE, "txt": b"a cat number %d" % n, "json": b'{"key": "1"}'})
        for n in range(50)
    ]
    write(tmp_path / "a.tar", *samples)
    with pytest.raises(UsageError, match="captions"):
        listed(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", ["cls", "json", "txt"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * 300,
        b"a\nb",
        b"[" * 100_000,
        b'{"label": [1]}',
        b'{"label": true}',
        b"\xff" * 70_000,
    ],
    ids=range(7),
)
def test_webdataset_label_that_is_no_line_is_ignored(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    is_line = kind != "json" and content.startswith(b"{")
    write(
        tmp_path / "a.tar",
        ("a", {"png": PICTURE, "cls": b"good"}),
        ("b", {"png": PICTURE, kind: content}),
    )
    found = listed(tmp_path / "a.tar")
    assert len(found.rejects) == (not is_line)


def test_folders_with_annotations_stay_classes(tmp_path: Path) -> None:
    """A JSON file next to each image is no label if the images are in folders."""
    samples = [
        (
            f"{name}/{number}",
            {"png": make_picture(number), "json": json.dumps({"label": "x"}).encode()},
        )
        for name in ("cat", "dog")
        for number in range(3)
    ]
    write(tmp_path / "a.tar", *samples)
    found = listed(tmp_path / "a.tar")
    assert (found.labels, found.layout, found.skipped) == (("cat", "dog"), "classes", 6)


def test_labels_of_a_list_win(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", ("a", {"png": PICTURE, "cls": b"1"}))
    (tmp_path / "l.csv").write_text("path,label\na.png,cat\n")
    assert labels_of(listed(tmp_path / "a.tar", list=str(tmp_path / "l.csv"))) == {"a.png": "cat"}
