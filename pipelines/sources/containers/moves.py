"""Keys of members as if all archives were extracted into one folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sources.containers.entry import name_problem
from pipelines.sources.containers.part import Part
from pipelines.sources.walk import Listing
from records.format.layout import parse_split

_REPEATED = "a later member has the same path"


class _Move(NamedTuple):
    """A change of keys: a top folder to remove, and folders to put in front; both may be empty."""

    top: bytes
    folder: bytes

    def apply(self, key: bytes) -> bytes:
        """Return the new key."""
        prefix = self.folder + b"/" if self.folder else b""
        return prefix + (key.removeprefix(self.top + b"/") if self.top else key)

    def apply_all(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the new keys of a column of large binary."""
        if self.top:
            start = self.top + b"/"
            is_below = pc.starts_with(keys, pattern=start)
            shorter = pc.binary_replace_slice(keys, 0, len(start), b"")
            keys = pc.if_else(is_below, shorter, keys)
        if self.folder:
            prefix, separator = (pa.scalar(text, pa.large_binary()) for text in (self.folder, b"/"))
            keys = pc.binary_join_element_wise(prefix, keys, separator)
        return keys


def _choose_moves(parts: Sequence[Part], *, keep_top: bool) -> list[_Move]:
    """Return the change of the keys of each part."""
    splits = {part.split for part in parts}
    tops = {
        split: b"" if keep_top else _common_top([it for it in parts if it.split == split])
        for split in splits
    }
    if parse_split(tops.get(b"", b"")):  # it is a split folder
        tops[b""] = b""
    return [
        _Move(
            tops[part.split],
            b"/".join(filter(None, (part.split, part.name if b"" in part.tops else b""))),
        )
        for part in parts
    ]


def _common_top(parts: Sequence[Part]) -> bytes:
    """Return the top folder that contains all images, if each is in a folder below it."""
    tops = set[bytes]().union(*(part.tops for part in parts))
    is_deep = all(part.is_deep for part in parts)
    return tops.pop() if len(tops) == 1 and is_deep else b""


def move_keys(listing: Listing, parts: Sequence[Part], *, keep_top: bool) -> None:
    """Set the keys and the folders of a listing; see `list_members`.

    Args:
        listing: the files of all parts, with their paths in the archives as keys.
        parts: the parts, in the order of the files.
        keep_top: whether a common top folder stays part of the keys.
    """
    moves = _choose_moves(parts, keep_top=keep_top)
    column = listing.files.to_table()["key"]
    folders = set[bytes]()
    moved = []
    first = 0
    for part, move in zip(parts, moves, strict=True):
        moved += move.apply_all(column.slice(first, len(part.given))).chunks
        first += len(part.given)
        kept = (folder for folder in part.folders if folder != move.top)
        folders.update(_top_folders(move.apply(folder) for folder in kept))
        folders.update(_top_folders([move.folder] if move.folder else []))
        # A name that is not a path stays unchanged.
        listing.refused += [
            (key if name_problem(key) else move.apply(key), reason) for key, reason in part.refused
        ]
    if any(move.top or move.folder for move in moves):
        listing.files.set_column("key", pa.chunked_array(moved, column.type))
    listing.folders = sorted(folders)


def _top_folders(folders: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the folders of the top two levels in which these folders are."""
    for folder in folders:
        parts = folder.split(b"/")
        yield parts[0]
        if len(parts) > 1:
            yield parts[0] + b"/" + parts[1]


def keep_last(listing: Listing) -> None:
    """Refuse all files with the same key but the last."""
    keys = listing.files.to_table()["key"]
    codes = keys.combine_chunks().dictionary_encode()
    if len(codes.dictionary) == len(keys):
        return
    numbers = codes.indices.to_numpy()
    last = np.zeros(len(codes.dictionary), np.int64)
    last[numbers] = np.arange(len(numbers))
    is_last = last[numbers] == np.arange(len(numbers))
    repeated = keys.filter(pa.array(~is_last)).to_pylist()
    listing.refused += [(key, _REPEATED) for key in repeated]
    listing.files.filter(pa.array(is_last))
