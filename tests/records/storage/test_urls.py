"""Locations: what is a URL, and its parts."""

from __future__ import annotations

import pytest

from records.storage.urls import is_url, join_location, local_path, split_location


def test_is_url_accepts_scheme_and_rejects_paths() -> None:
    assert is_url("s3://bucket/a")
    assert is_url("file:///a")
    assert not is_url("a/b")
    assert not is_url("a b://c")


@pytest.mark.parametrize(
    ("location", "parts"),
    [
        ("a.tfrecord", (".", "a.tfrecord")),
        ("b/a.tfrecord", ("b", "a.tfrecord")),
        ("/a.tfrecord", ("/", "a.tfrecord")),
        ("s3://b/c/a.tfrecord", ("s3://b/c", "a.tfrecord")),
    ],
)
def test_split_location_returns_folder_and_file(location: str, parts: tuple[str, str]) -> None:
    assert split_location(location) == parts


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("a/b%20c", "a/b%20c"),
        ("file:///a/b%20c", "/a/b c"),
        ("file://localhost/a?b", "/a"),
        ("file://[/a", "/a"),
        ("s3://b/c", None),
    ],
)
def test_local_path_is_none_for_remote_url(location: str, path: str | None) -> None:
    assert local_path(location) == path


def test_join_location_empty_name_is_folder() -> None:
    assert join_location("s3://b/c", "a") == "s3://b/c/a"
    assert join_location("s3://b/c", "") == "s3://b/c"
