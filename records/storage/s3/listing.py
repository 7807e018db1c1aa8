"""A listing of what is below a prefix: a request a thousand keys, many at once where it is long.

The first pages are asked for one after another. What is left then is cut where its folders begin,
and the pieces are listed on threads. Only the last page of a piece may reach beyond it, so this
costs a request a piece at most, and those that find the folders: one for a thousand of them, and
where they are fewer than threads one for each, to find those in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice, pairwise
from typing import Any

from records.runtime.parallel_map import IO_THREADS, parallel_flat_map, parallel_map
from records.storage.base import FileInfo

Ask = Callable[..., dict[str, Any]]
"""Makes one request of a listing, with these parameters."""
Page = Sequence[tuple[str, FileInfo]]
"""Keys, and what the store says of them."""

_SEQUENTIAL_PAGES = 4
_MOST_PIECES = 64
_PAGES_AHEAD = 4


def list_pages(ask: Ask, prefix: str) -> Iterator[Page]:
    """Every object whose key begins with `prefix`, in the order of the keys.

    Raises what `ask` raises.
    """
    answers = _follow(ask, Prefix=prefix)
    begun = list[str]()
    for answer in islice(answers, _SEQUENTIAL_PAGES):
        page = _read_page(answer)
        begun += [key for key, _ in page]
        yield page
    pieces = _partition(ask, prefix, begun) if answer["IsTruncated"] else []
    if not pieces:
        yield from map(_read_page, answers)
        return
    read = partial(_list_piece, ask, prefix)
    yield from parallel_flat_map(read, pieces, threads=IO_THREADS, prefetch=_PAGES_AHEAD)


def _follow(ask: Ask, **asked: str) -> Iterator[dict[str, Any]]:
    """The answers to a listing, each asked for with the token of the one before."""
    answer = ask(**asked)
    yield answer
    while answer["IsTruncated"]:
        answer = ask(**asked, ContinuationToken=answer["NextContinuationToken"])
        yield answer


def _read_page(answer: dict[str, Any]) -> Page:
    # A key that ends in a slash stands for a folder: consoles make them.
    return [
        (found["Key"], FileInfo(found["Size"], found["ETag"]))
        for found in answer.get("Contents", ())
        if not found["Key"].endswith("/")
    ]


def _partition(ask: Ask, prefix: str, begun: Sequence[str]) -> list[tuple[str, str | None]]:
    """What follows the keys of a listing that has begun: pieces, from behind a key up to another.

    None where it cannot be cut: there are no folders, or the store lists in no order, as Amazon's
    directory buckets do.
    """
    if not begun or any(one > other for one, other in pairwise(begun)):
        return []
    last = begun[-1]
    folders = _find_folders(ask, last, prefix)
    if len(folders) < IO_THREADS:
        first, slash, _ = last.removeprefix(prefix).partition("/")
        parents = [prefix + first + slash, *folders] if slash else folders
        find = partial(_find_folders, ask, last)
        deeper = parallel_map(find, parents, threads=IO_THREADS)
        folders = sorted({*folders, *chain.from_iterable(deeper)})
    begins = folders[:: -(-len(folders) // _MOST_PIECES) or 1]
    return list(zip([last, *begins], [*begins, None], strict=True)) if begins else []


def _find_folders(ask: Ask, last: str, prefix: str) -> list[str]:
    """The folders directly below `prefix` that begin behind `last`; not all where files abound."""
    folders = list[str]()
    for answer in _follow(ask, Prefix=prefix, Delimiter="/", StartAfter=last):
        found = [folder["Prefix"] for folder in answer.get("CommonPrefixes", ())]
        if not found:
            break
        folders += [folder for folder in found if folder > last]
    return folders


def _list_piece(ask: Ask, prefix: str, piece: tuple[str, str | None]) -> Iterator[Page]:
    begin, end = piece
    for answer in _follow(ask, Prefix=prefix, StartAfter=begin):
        page = _read_page(answer)
        yield [file for file in page if begin < file[0] and (end is None or file[0] < end)]
        if end is not None and page and page[-1][0] >= end:
            break
