"""S3 listings: every key once, in order, with few requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Barrier, Lock
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records.runtime.parallel_map import IO_THREADS
from records.storage.s3.listing import list_pages

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_KEYS = 5


@dataclass
class FakeBucket:
    """Lists as S3 does, five keys and folders per page; the ETag is the key."""

    keys: Sequence[str]
    honours_start_after: bool = True
    requests: int = 0
    _lock: Lock = field(default_factory=Lock)

    def request(
        self,
        *,
        Prefix: str,  # noqa: N803 - S3's names
        Delimiter: str | None = None,  # noqa: N803
        StartAfter: str = "",  # noqa: N803
        ContinuationToken: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        with self._lock:
            self.requests += 1
        found = [key for key in self.keys if key.startswith(Prefix)]
        if self.honours_start_after:
            found = [key for key in found if key > StartAfter]
        entries = list(dict.fromkeys(_roll_up(key, Prefix, Delimiter) for key in found))
        begin = int(ContinuationToken or 0)
        end = begin + PAGE_KEYS
        page = entries[begin:end]
        files = [name for name in page if not Delimiter or not name.endswith(Delimiter)]
        return {
            "Contents": [{"Key": name, "Size": len(name), "ETag": name} for name in files],
            "CommonPrefixes": [{"Prefix": name} for name in page if name not in files],
            "IsTruncated": end < len(entries),
            "NextContinuationToken": str(end),
        }


def _roll_up(key: str, prefix: str, delimiter: str | None) -> str:
    """Return a key as a listing shows it: the folder that contains it, or itself."""
    head, slash, _ = key.removeprefix(prefix).partition(delimiter or "\0")
    return prefix + head + slash


def list_keys(bucket: FakeBucket, prefix: str = "") -> list[str]:
    return [key for page in list_pages(bucket.request, prefix) for key, _ in page]


names = st.text("a./0", max_size=5).map(lambda name: f"{name}x")


@settings(max_examples=40)
@given(keys=st.sets(names, min_size=25, max_size=60), prefix=st.sampled_from(["", "a/", "0/a/"]))
def test_s3_listing_returns_all_keys_once_in_order(keys: set[str], prefix: str) -> None:
    bucket = FakeBucket(sorted(keys))
    assert list_keys(bucket, prefix) == sorted(key for key in keys if key.startswith(prefix))


def name_all(*folders: str, files: int) -> list[str]:
    return sorted(f"{folder}{number:04}.jpg" for folder in folders for number in range(files))


@pytest.mark.parametrize(
    ("folders", "files"), [(1, 33), (3, 33), (20, 1), (20, 15), (20, 33), (200, 4)]
)
@pytest.mark.parametrize("above", ["", "train/"])
def test_s3_listing_parallel_needs_few_extra_requests(folders: int, files: int, above: str) -> None:
    bucket = FakeBucket(name_all(*(f"{above}{n:03}/" for n in range(folders)), files=files))
    assert list_keys(bucket) == bucket.keys
    pages = -(-len(bucket.keys) // PAGE_KEYS)
    finding = 1 + -(-folders // PAGE_KEYS) + min(folders, IO_THREADS)
    assert bucket.requests <= pages + finding + min(folders, 64)


def test_s3_listing_key_ranges_are_listed_concurrently() -> None:
    bucket = FakeBucket(name_all("a/", "b/", "c/", files=20))
    barrier, starts = Barrier(3), list[str]()

    def request(**parameters: Any) -> dict[str, Any]:
        if "StartAfter" in parameters and "Delimiter" not in parameters:
            starts.append(parameters["StartAfter"])
            if "ContinuationToken" not in parameters:
                barrier.wait(30)
        return bucket.request(**parameters)

    assert [key for page in list_pages(request, "") for key, _ in page] == bucket.keys
    assert Counter(starts) == {"a/0019.jpg": 1, "b/": 5, "c/": 4}


def test_s3_listing_short_needs_one_request_per_page() -> None:
    bucket = FakeBucket(name_all("a/", "b/", files=10))
    assert list_keys(bucket) == bucket.keys
    assert bucket.requests == 4


def test_s3_listing_without_folders_needs_one_extra_request() -> None:
    bucket = FakeBucket(name_all("", files=100))
    assert list_keys(bucket) == bucket.keys
    assert bucket.requests == 20 + 1


def test_s3_listing_folder_markers_are_not_files() -> None:
    files = name_all("a/", "b/", "c/", files=20)
    bucket = FakeBucket(sorted([*files, "a/", "b/", "c/", "d/"]))
    assert list_keys(bucket) == files


def test_s3_listing_unordered_store_is_listed_sequentially() -> None:
    keys = name_all("b/", "a/", "c/", files=20)[::-1]
    bucket = FakeBucket(keys)
    assert list_keys(bucket) == keys
    assert bucket.requests == 12


def test_s3_listing_store_ignoring_start_after_returns_keys_once() -> None:
    bucket = FakeBucket(name_all("a/", "b/", "c/", files=20), honours_start_after=False)
    assert list_keys(bucket) == bucket.keys


def test_s3_listing_request_error_is_raised() -> None:
    bucket = FakeBucket(name_all("a/", "b/", "c/", files=20))

    def request(**parameters: Any) -> dict[str, Any]:
        if parameters.get("StartAfter", "").startswith("c/"):
            raise TimeoutError
        return bucket.request(**parameters)

    with pytest.raises(TimeoutError):
        list(list_pages(request, ""))
