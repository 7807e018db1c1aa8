"""Parallel listing of all keys under a prefix, a thousand per request.

The first pages are requested in sequence. The remaining keys are divided into ranges at folder
boundaries, and threads list the ranges in parallel. The additional cost is at most one request per
range, plus one request per thousand folders to find the folders. The first cost is small because
only the last page of a range can reach beyond its end. If there are fewer folders than threads, one
more request per folder finds its subfolders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice, pairwise
from typing import Any

from records.runtime.parallel_map import IO_THREADS, parallel_flat_map, parallel_map
from records.storage.base import FileInfo

Request = Callable[..., dict[str, Any]]
"""A function that sends one listing request with the given parameters, and returns the response."""
Page = Sequence[tuple[str, FileInfo]]
"""The key, size and ETag of each object in one response."""
KeyRange = tuple[str, str | None]
"""The keys between two keys, both excluded; if the second is None, all keys after the first."""

_SEQUENTIAL_PAGES = 4
_MOST_RANGES = 64
_PREFETCHED_PAGES = 4


def list_pages(request: Request, prefix: str) -> Iterator[Page]:
    """Yield all objects whose keys begin with `prefix` as pages, in the order of the keys.

    Raises the errors of `request`.
    """
    responses = _follow(request, Prefix=prefix)
    listed_keys = list[str]()
    for response in islice(responses, _SEQUENTIAL_PAGES):
        page = _read_page(response)
        listed_keys += [key for key, _ in page]
        yield page
    key_ranges = _partition(request, prefix, listed_keys) if response["IsTruncated"] else []
    if not key_ranges:
        yield from map(_read_page, responses)
        return
    read = partial(_list_range, request, prefix)
    yield from parallel_flat_map(read, key_ranges, threads=IO_THREADS, prefetch=_PREFETCHED_PAGES)


def _follow(request: Request, **parameters: str) -> Iterator[dict[str, Any]]:
    """Yield the responses to a listing; each request has the token of the previous response."""
    response = request(**parameters)
    yield response
    while response["IsTruncated"]:
        response = request(**parameters, ContinuationToken=response["NextContinuationToken"])
        yield response


def _read_page(response: dict[str, Any]) -> Page:
    # A key that ends in a slash stands for a folder: consoles create them.
    return [
        (found["Key"], FileInfo(found["Size"], found["ETag"]))
        for found in response.get("Contents", ())
        if not found["Key"].endswith("/")
    ]


def _partition(request: Request, prefix: str, listed_keys: Sequence[str]) -> list[KeyRange]:
    """Divide the keys after `listed_keys` into key ranges.

    The list is empty if no folders follow, or if the store does not list keys in order (as Amazon
    S3 in directory buckets).
    """
    if not listed_keys or any(one > other for one, other in pairwise(listed_keys)):
        return []
    last = listed_keys[-1]
    folders = _find_folders(request, last, prefix)
    if len(folders) < IO_THREADS:
        first, slash, _ = last.removeprefix(prefix).partition("/")
        parents = [prefix + first + slash, *folders] if slash else folders
        find = partial(_find_folders, request, last)
        deeper = parallel_map(find, parents, threads=IO_THREADS)
        folders = sorted({*folders, *chain.from_iterable(deeper)})
    starts = folders[:: -(-len(folders) // _MOST_RANGES) or 1]
    return list(zip([last, *starts], [*starts, None], strict=True)) if starts else []


def _find_folders(request: Request, last: str, prefix: str) -> list[str]:
    """Return the folders directly under `prefix` after the key `last`; stop at a page of files."""
    folders = list[str]()
    for response in _follow(request, Prefix=prefix, Delimiter="/", StartAfter=last):
        found = [folder["Prefix"] for folder in response.get("CommonPrefixes", ())]
        if not found:
            break
        folders += [folder for folder in found if folder > last]
    return folders


def _list_range(request: Request, prefix: str, key_range: KeyRange) -> Iterator[Page]:
    start, end = key_range
    for response in _follow(request, Prefix=prefix, StartAfter=start):
        page = _read_page(response)
        yield [file for file in page if start < file[0] and (end is None or file[0] < end)]
        if end is not None and page and page[-1][0] >= end:
            break
