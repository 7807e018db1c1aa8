"""What a source has now, beside what a dataset holds of it: what is new, changed, or gone.

A file is known by its key. A stored one that has another size has changed; one whose modification
time (or ETag) moved is read again and has changed if its bytes did. One that was rejected is new
again when either differs: it may have been mended.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from records.runtime.row_table import iter_rows

Mask = NDArray[np.bool_]
HashFile = Callable[[bytes, "str | None"], bytes]
"""The xxh3-128 of a file's bytes by key and URL; empty where it cannot be read."""


@dataclass(frozen=True)
class SourceDiff:
    """What a source has now.

    Attributes:
        is_new: of each image listed, (N,), whether it is to be taken.
        changed: stored files that hold other bytes now.
        gone: stored files that are listed no more.
        stamps: what to keep for the next time, once the new images are stored; None where that is
            what was kept before.
    """

    is_new: Mask
    changed: tuple[bytes, ...]
    gone: tuple[bytes, ...]
    stamps: pa.Table | None


def diff_sources(
    images: pa.Table, known: pa.Table, stamps: pa.Table, hash_file: HashFile, *, threads: int
) -> SourceDiff:
    """Tell new images, changed and gone files apart.

    Args:
        images: listed now: key, stamp, size_bytes, url.
        known: as `read_ingested_files` gives them.
        stamps: key and stamp of files as they were last seen unchanged.
        hash_file: reads a file again.
        threads: that read.
    """
    then = known.take(_find(images, known))
    kept = stamps.take(_find(images, stamps))["stamp"]
    was_seen = kept.is_valid().to_numpy()
    moved = was_seen & _differ(kept, images["stamp"])
    resized = _differ(then["size_bytes"], images["size_bytes"])
    is_known = then["key"].is_valid().to_numpy()
    was_stored = then["xxh3_128"].is_valid().to_numpy()
    doubtful = was_stored & ~resized & (moved | ~was_seen)
    has_changed = (was_stored & resized) | _rehash(images, then, doubtful, hash_file, threads)
    is_mended = is_known & ~was_stored & (resized | moved)
    is_new = ~is_known | is_mended
    has_news = (is_new | doubtful & ~has_changed).any()
    is_gone = _find(known, images).is_null().to_numpy() & known["xxh3_128"].is_valid().to_numpy()
    return SourceDiff(
        is_new=is_new,
        changed=_keys(images, has_changed),
        gone=_keys(known, is_gone),
        stamps=_stamps_to_keep(images, kept, has_changed) if has_news else None,
    )


def _find(rows: pa.Table, among: pa.Table) -> pa.ChunkedArray:
    """Where each row's key is among others, (N,); null where it is not."""
    return pc.index_in(rows["key"], value_set=among["key"])


def _differ(then: pa.ChunkedArray, now: pa.ChunkedArray) -> Mask:
    """Where two values are there and not the same, (N,)."""
    differ: Mask = pc.not_equal(then, now).fill_null(False).to_numpy()
    return differ


def _stamps_to_keep(images: pa.Table, kept: pa.ChunkedArray, has_changed: Mask) -> pa.Table:
    """Of what changed the stamp it had, if any, so that it is looked into and told of again."""
    stamps = pc.if_else(pa.array(has_changed), kept, images["stamp"])
    return pa.table({"key": images["key"], "stamp": stamps}).filter(stamps.is_valid())


def _keys(rows: pa.Table, mask: Mask) -> tuple[bytes, ...]:
    return tuple(rows["key"].filter(pa.array(mask)).to_pylist())


def _rehash(
    images: pa.Table, then: pa.Table, doubtful: Mask, hash_file: HashFile, threads: int
) -> Mask:
    """Which of the doubtful files hold other bytes than were stored, (N,)."""
    differs = np.zeros(len(images), bool)
    rows = np.flatnonzero(doubtful)
    if not len(rows):
        return differs
    files = iter_rows(images.take(pa.array(rows)), "key", "url")
    stored = then["xxh3_128"].take(pa.array(rows)).to_pylist()
    with ThreadPoolExecutor(threads) as pool:
        hashes = pool.map(lambda file: hash_file(*file), files)
        differs[rows] = [one != other for one, other in zip(hashes, stored, strict=True)]
    return differs
