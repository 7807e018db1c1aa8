"""Differences between a source and a dataset: new, modified, deleted and relabelled files.

Files are identified by key. A stored file is modified if its size differs. If only its fingerprint
differs, or is unknown, the file is read again, and is modified if its content differs.

Every run reads the rejected files again: the user may have repaired a file without a new size or
time. A rejected file counts as new if its content differs, if it can be read now and never could,
or if other versions of the image libraries did not support it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.incremental.labelling import list_labellings, list_splits
from records.runtime.row_table import iter_rows

Mask = NDArray[np.bool_]
HashFile = Callable[[bytes, "str | None", int, "bytes | None"], bytes]
"""A function that returns the xxh3-128 of the file with a key, a URL, a size in bytes and a member.

The result is empty if the file is unreadable.
"""


@dataclass(frozen=True)
class SourceDiff:
    """Differences between a source and a dataset.

    Attributes:
        is_new: mask of the listed images to convert, (N,).
        modified: keys of stored files whose content has changed.
        deleted: keys of stored files that are no longer listed.
        relabelled: keys of stored files whose labels, group or split in the source are not those in
            the dataset.
        fingerprints: key and fingerprint of every known file, to save after the new images are
            stored; None if no fingerprint has changed.
    """

    is_new: Mask
    modified: tuple[bytes, ...]
    deleted: tuple[bytes, ...]
    relabelled: tuple[bytes, ...]
    fingerprints: pa.Table | None


def diff_sources(
    images: pa.Table,
    ingested: pa.Table,
    fingerprints: pa.Table,
    hash_file: HashFile,
    *,
    threads: int,
) -> SourceDiff:
    """Compare a source with the files that a dataset has ingested.

    Args:
        images: table of the listed images, as in `Sources`.
        ingested: the result of `read_ingested_files`.
        fingerprints: table of key and fingerprint of each file when it was last seen unmodified.
        hash_file: function that hashes a file.
        threads: number of threads that call `hash_file`.
    """
    previous = ingested.take(_find(images, ingested))
    seen = fingerprints.take(_find(images, fingerprints))["fingerprint"]
    is_seen = seen.is_valid().to_numpy()
    is_touched = is_seen & _differ(seen, images["fingerprint"])
    is_resized = _differ(previous["size_bytes"], images["size_bytes"])
    is_ingested = previous["key"].is_valid().to_numpy()
    is_stored = previous["is_stored"].fill_null(False).to_numpy()
    is_rejected = is_ingested & ~is_stored
    is_doubtful = is_ingested & (is_touched | ~is_seen)
    needs_rehash = ~is_resized & (is_doubtful | is_rejected)
    is_changed = is_resized | _rehash(images, previous, needs_rehash, hash_file, threads)
    is_modified = is_stored & is_changed
    may_be_supported = previous["may_be_supported"].fill_null(False).to_numpy()
    is_new = ~is_ingested | is_rejected & (is_changed | may_be_supported)
    is_deleted = _find(ingested, images).is_null().to_numpy() & ingested["is_stored"].to_numpy()
    is_relabelled = _differ(previous["labelling"], list_labellings(images))
    is_relabelled |= _differ(previous["split"], list_splits(images))
    must_save = (is_new | is_doubtful & ~is_modified).any()
    return SourceDiff(
        is_new=is_new,
        modified=_keys(images, is_modified),
        deleted=_keys(ingested, is_deleted),
        relabelled=_keys(images, is_relabelled),
        fingerprints=_updated_fingerprints(images, seen, is_modified) if must_save else None,
    )


def _find(rows: pa.Table, among: pa.Table) -> pa.ChunkedArray:
    """Return the row number in `among` of each key of `rows`, (N,); null if the key is missing."""
    return pc.index_in(rows["key"], value_set=among["key"])


def _differ(previous: pa.ChunkedArray, current: pa.ChunkedArray) -> Mask:
    """Return the mask of rows whose two values differ and are not null, (N,)."""
    differ: Mask = pc.not_equal(previous, current).fill_null(False).to_numpy()
    return differ


def _updated_fingerprints(images: pa.Table, seen: pa.ChunkedArray, is_modified: Mask) -> pa.Table:
    """Return the fingerprints to save.

    Modified files keep their previous fingerprint, if any: the next append reports them again.
    """
    fingerprints = pc.if_else(pa.array(is_modified), seen, images["fingerprint"])
    return pa.table({"key": images["key"], "fingerprint": fingerprints}).filter(
        fingerprints.is_valid()
    )


def _keys(rows: pa.Table, mask: Mask) -> tuple[bytes, ...]:
    return tuple(rows["key"].filter(pa.array(mask)).to_pylist())


def _rehash(
    images: pa.Table, previous: pa.Table, needs_rehash: Mask, hash_file: HashFile, threads: int
) -> Mask:
    """Hash files again, and return the mask of the files with changed content, (N,).

    The content of a file that cannot be read, now or before, is b"".
    """
    differs = np.zeros(len(images), bool)
    rows = np.flatnonzero(needs_rehash)
    if not len(rows):
        return differs
    files = iter_rows(images.take(pa.array(rows)), "key", "url", "size_bytes", "member")
    stored = previous["xxh3_128"].take(pa.array(rows)).to_pylist()
    with ThreadPoolExecutor(threads) as pool:
        hashes = pool.map(lambda file: hash_file(*file), files)
        differs[rows] = [one != (other or b"") for one, other in zip(hashes, stored, strict=True)]
    return differs
