"""Tests of source filters: classes, label maps, exclusions, groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from records.errors import InputNotFoundError, UsageError
from tests.pipelines.conftest import Find
from tests.pipelines.pictures import PICTURE, make_file
from tests.pipelines.sources.test_image_folder import labelled, rejected


class TestClasses:
    @pytest.fixture(autouse=True)
    def pictures(self, root: Path) -> None:
        for key in ("cat/1.png", "cow/1.png", "cow/notes.txt", "dog/1.png", "loose.png"):
            make_file(root, key, b"text" if key.endswith("txt") else PICTURE)
        (root / "cow" / "gone.png").symlink_to("nowhere")

    def test_source_filter_classes_option_excludes_other_classes(self, find: Find) -> None:
        found = find(classes=("dog", "cat"))
        assert labelled(found) == {b"cat/1.png": "cat", b"dog/1.png": "dog"}
        assert (found.excluded, found.skipped) == (2, 1)
        assert rejected(found) == [("loose.png", None, "no-class")]

    def test_source_filter_unknown_class_is_refused(self, find: Find) -> None:
        with pytest.raises(UsageError, match=r"cat, cow, dog.*got cta"):
            find(classes=("cta",))

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("labels.txt", "0:zebra\n1:dog\n2:cow\n3:cat\n"),
            ("labels.txt", "zebra\ndog\ncow\ncat\n"),
            ("labels.json", '["zebra", "dog", "cow", "cat"]'),
            ("labels.json", '{"cat": 3, "cow": 2, "dog": 1, "zebra": 0}'),
            (
                "map.pbtxt",
                "".join(
                    f"item {{ id: {number} name: '{name}' }}\n"
                    for number, name in enumerate(["zebra", "dog", "cow", "cat"], start=1)
                ),
            ),
        ],
    )
    def test_label_map_any_format_assigns_the_labels(
        self, find: Find, tmp_path: Path, name: str, content: str
    ) -> None:
        path = make_file(tmp_path, name, content.encode())
        found = find(labels=str(path))
        assert found.labels == ("zebra", "dog", "cow", "cat")
        assert labelled(found)[b"cat/1.png"] == "cat"

    def test_label_map_missing_class_is_refused(self, find: Find, tmp_path: Path) -> None:
        path = make_file(tmp_path, "labels.txt", b"cat\ndog\n")
        with pytest.raises(UsageError, match="got cow"):
            find(labels=str(path))

    def test_label_map_file_not_found_is_refused(self, find: Find) -> None:
        with pytest.raises(InputNotFoundError, match="file not found"):
            find(labels="/nowhere/labels.txt")


class TestExclude:
    def test_exclude_escaped_keys_excludes_those_files(
        self, root: Path, find: Find, tmp_path: Path
    ) -> None:
        keys = [b"cat/100%.png", b"cat/\xff.png", b"cat/1.png", b"cat/a b.png", b"notes.txt"]
        for key in [*keys, b"cat/2.png"]:
            make_file(root, key)
        lines = "cat/100%25.png\r\ncat/%FF.png\n\ncat/1.png\ncat/a b.png\nnotes.txt"
        path = make_file(tmp_path, "exclude.txt", b"\xef\xbb\xbf" + lines.encode())
        found = find(exclude=str(path))
        assert list(labelled(found)) == [b"cat/2.png"]
        assert (found.excluded, found.notes) == (5, [])

    def test_exclude_unknown_key_is_noted(self, root: Path, find: Find, tmp_path: Path) -> None:
        make_file(root, "cat/1.png")
        make_file(root, "cat/2.png")
        path = make_file(tmp_path, "exclude.txt", b"cat/1.png\ncat/3.png\n")
        assert find(exclude=str(path)).notes == ["--exclude lists 1 key not found in the source"]

    def test_exclude_rejects_and_unselected_classes_counts_them_as_excluded(
        self, root: Path, find: Find, tmp_path: Path
    ) -> None:
        for key in ("loose.png", "cat/1.png", "dog/1.png"):
            make_file(root, key)
        (root / "cat" / "gone.png").symlink_to("nowhere")
        path = make_file(tmp_path, "exclude.txt", b"loose.png\ncat/gone.png\ndog/1.png\n")
        found = find(exclude=str(path), classes=("cat",))
        assert (found.rejects, found.excluded, found.notes) == ([], 3, [])


class TestGroups:
    @pytest.mark.parametrize(
        ("group_by", "groups"),
        [
            ("parent", [b"cat", b"cat/p1", b"cat/p1"]),
            (r"p\d", [None, b"p1", b"p1"]),
            (r"cat/(p\d)", [None, b"p1", b"p1"]),
            (r"x*", [None, None, None]),
            (None, [None, None, None]),
        ],
    )
    def test_group_key_parent_or_pattern_is_taken_from_key(
        self, root: Path, find: Find, group_by: str | None, groups: list[bytes | None]
    ) -> None:
        for key in ("cat/0.png", "cat/p1/1.png", "cat/p1/2.png"):
            make_file(root, key)
        images = sorted(find(group_by=group_by).images, key=lambda image: image.key)
        assert [image.group for image in images] == groups
