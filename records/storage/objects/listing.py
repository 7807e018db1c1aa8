"""Parallel listing of all keys under a prefix, a page per request.

The first pages are requested in sequence. The remaining keys are divided into ranges at folder
boundaries, and threads list the ranges in parallel. The additional cost is at most one request per
range, plus one request per page of folders to find the folders. The first cost is small because
only the last page of a range can reach beyond its end. If there are fewer folders than threads, one
more request per folder finds its subfolders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice, pairwise

from records.runtime.parallel_map import IO_THREADS, parallel_flat_map, parallel_map
from records.storage.base import FileInfo
from records.storage.objects.client import ListPage, ObjectClient

Files = Sequence[tuple[str, FileInfo]]
"""The key, size and tag of each object in one response."""
KeyRange = tuple[str, str | None]
"""The keys between two keys, both excluded; if the second is None, all keys after the first."""

_SEQUENTIAL_PAGES = 4
_MOST_RANGES = 64
_PREFETCHED_PAGES = 4


def list_files(client: ObjectClient, prefix: str) -> Iterator[Files]:
    """Yield all objects whose keys begin with `prefix` as pages, in the order of the keys.

    Raises the errors of `client`.
    """
    pages = _follow(client, prefix)
    listed_keys = list[str]()
    for page in islice(pages, _SEQUENTIAL_PAGES):
        listed_keys += [key for key, _ in page.files]
        yield page.files
    is_partitioned = page.next_token is not None and client.lists_from_key
    key_ranges = _partition(client, prefix, listed_keys) if is_partitioned else []
    if not key_ranges:
        yield from (page.files for page in pages)
        return
    read = partial(_list_range, client, prefix)
    yield from parallel_flat_map(read, key_ranges, threads=IO_THREADS, prefetch=_PREFETCHED_PAGES)


def _follow(
    client: ObjectClient, prefix: str, *, start: str = "", delimiter: str = ""
) -> Iterator[ListPage]:
    """Yield the pages of a listing; each request has the token of the previous page."""
    page = client.list_page(prefix, start=start, delimiter=delimiter)
    yield page
    while page.next_token is not None:
        page = client.list_page(prefix, token=page.next_token, start=start, delimiter=delimiter)
        yield page


def _partition(client: ObjectClient, prefix: str, listed_keys: Sequence[str]) -> list[KeyRange]:
    """Divide the keys after `listed_keys` into key ranges.

    The list is empty if no folders follow, or if the store does not list keys in order (as Amazon
    S3 in directory buckets).
    """
    if not listed_keys or any(one > other for one, other in pairwise(listed_keys)):
        return []
    last = listed_keys[-1]
    folders = _find_folders(client, last, prefix)
    if len(folders) < IO_THREADS:
        first, slash, _ = last.removeprefix(prefix).partition("/")
        parents = [prefix + first + slash, *folders] if slash else folders
        find = partial(_find_folders, client, last)
        deeper = parallel_map(find, parents, threads=IO_THREADS)
        folders = sorted({*folders, *chain.from_iterable(deeper)})
    starts = folders[:: -(-len(folders) // _MOST_RANGES) or 1]
    return list(zip([last, *starts], [*starts, None], strict=True)) if starts else []


def _find_folders(client: ObjectClient, last: str, prefix: str) -> list[str]:
    """Return the folders directly under `prefix` after the key `last`; stop at a page of files."""
    folders = list[str]()
    for page in _follow(client, prefix, start=last, delimiter="/"):
        if not page.folders:
            break
        folders += [folder for folder in page.folders if folder > last]
    return folders


def _list_range(client: ObjectClient, prefix: str, key_range: KeyRange) -> Iterator[Files]:
    start, end = key_range
    for page in _follow(client, prefix, start=start):
        yield [file for file in page.files if start < file[0] and (end is None or file[0] < end)]
        if end is not None and page.files and page.files[-1][0] >= end:
            break
