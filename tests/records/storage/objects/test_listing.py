"""Listings of object stores: every key once, in order, with few requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Barrier, Lock
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records.runtime.parallel_map import IO_THREADS
from records.storage.base import FileInfo
from records.storage.objects.client import ListPage
from records.storage.objects.listing import list_files

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_KEYS = 5


@dataclass
class FakeBucket:
    """Lists as an object store does, five keys and folders per page; the tag is the key."""

    keys: Sequence[str]
    honours_start: bool = True
    lists_from_key: bool = True
    requests: int = 0
    _lock: Lock = field(default_factory=Lock)

    def list_page(
        self, prefix: str, *, token: str | None = None, start: str = "", delimiter: str = ""
    ) -> ListPage:
        with self._lock:
            self.requests += 1
        found = [key for key in self.keys if key.startswith(prefix)]
        if self.honours_start:
            found = [key for key in found if key > start]
        entries = list(dict.fromkeys(_roll_up(key, prefix, delimiter) for key in found))
        begin = int(token or 0)
        end = begin + PAGE_KEYS
        page = entries[begin:end]
        files = [name for name in page if not delimiter or not name.endswith(delimiter)]
        return ListPage(
            [(name, FileInfo(len(name), name)) for name in files if not name.endswith("/")],
            [name for name in page if name not in files],
            str(end) if end < len(entries) else None,
        )


def _roll_up(key: str, prefix: str, delimiter: str) -> str:
    """Return a key as a listing shows it: the folder that contains it, or itself."""
    head, slash, _ = key.removeprefix(prefix).partition(delimiter or "\0")
    return prefix + head + slash


def list_keys(bucket: Any, prefix: str = "") -> list[str]:
    return [key for page in list_files(bucket, prefix) for key, _ in page]


names = st.text("a./0", max_size=5).map(lambda name: f"{name}x")


@settings(max_examples=40)
@given(keys=st.sets(names, min_size=25, max_size=60), prefix=st.sampled_from(["", "a/", "0/a/"]))
def test_listing_returns_all_keys_once_in_order(keys: set[str], prefix: str) -> None:
    bucket = FakeBucket(sorted(keys))
    assert list_keys(bucket, prefix) == sorted(key for key in keys if key.startswith(prefix))


def name_all(*folders: str, files: int) -> list[str]:
    return sorted(f"{folder}{number:04}.jpg" for folder in folders for number in range(files))


@pytest.mark.parametrize(
    ("folders", "files"), [(1, 33), (3, 33), (20, 1), (20, 15), (20, 33), (200, 4)]
)
@pytest.mark.parametrize("above", ["", "train/"])
def test_listing_parallel_needs_few_extra_requests(folders: int, files: int, above: str) -> None:
    bucket = FakeBucket(name_all(*(f"{above}{n:03}/" for n in range(folders)), files=files))
    assert list_keys(bucket) == bucket.keys
    pages = -(-len(bucket.keys) // PAGE_KEYS)
    finding = 1 + -(-folders // PAGE_KEYS) + min(folders, IO_THREADS)
    assert bucket.requests <= pages + finding + min(folders, 64)


def test_listing_key_ranges_are_listed_concurrently() -> None:
    barrier, starts = Barrier(3), list[str]()

    class Recording(FakeBucket):
        def list_page(
            self, prefix: str, *, token: str | None = None, start: str = "", delimiter: str = ""
        ) -> ListPage:
            if start and not delimiter:
                starts.append(start)
                if token is None:
                    barrier.wait(30)
            return super().list_page(prefix, token=token, start=start, delimiter=delimiter)

    bucket = Recording(name_all("a/", "b/", "c/", files=20))
    assert list_keys(bucket) == bucket.keys
    assert Counter(starts) == {"a/0019.jpg": 1, "b/": 5, "c/": 4}


def test_listing_short_needs_one_request_per_page() -> None:
    bucket = FakeBucket(name_all("a/", "b/", files=10))
    assert list_keys(bucket) == bucket.keys
    assert bucket.requests == 4


def test_listing_without_folders_needs_one_extra_request() -> None:
    bucket = FakeBucket(name_all("", files=100))
    assert list_keys(bucket) == bucket.keys
    assert bucket.requests == 20 + 1


def test_listing_folder_markers_are_not_files() -> None:
    files = name_all("a/", "b/", "c/", files=20)
    bucket = FakeBucket(sorted([*files, "a/", "b/", "c/", "d/"]))
    assert list_keys(bucket) == files


def test_listing_unordered_store_is_listed_sequentially() -> None:
    keys = name_all("b/", "a/", "c/", files=20)[::-1]
    bucket = FakeBucket(keys)
    assert list_keys(bucket) == keys
    assert bucket.requests == 12


def test_listing_store_ignoring_start_after_returns_keys_once() -> None:
    bucket = FakeBucket(name_all("a/", "b/", "c/", files=20), honours_start=False)
    assert list_keys(bucket) == bucket.keys


def test_listing_store_that_cannot_begin_at_key_is_listed_sequentially() -> None:
    keys = name_all("a/", "b/", "c/", files=20)
    bucket = FakeBucket(keys, honours_start=False, lists_from_key=False)
    assert list_keys(bucket) == keys
    assert bucket.requests == 12


def test_listing_request_error_is_raised() -> None:
    class Failing(FakeBucket):
        def list_page(
            self, prefix: str, *, token: str | None = None, start: str = "", delimiter: str = ""
        ) -> ListPage:
            if start.startswith("c/"):
                raise TimeoutError
            return super().list_page(prefix, token=token, start=start, delimiter=delimiter)

    with pytest.raises(TimeoutError):
        list_keys(Failing(name_all("a/", "b/", "c/", files=20)))
