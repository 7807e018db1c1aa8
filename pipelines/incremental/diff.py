"""Files of a source that are new, modified, deleted or relabelled.

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
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.incremental.labelling import list_labellings, list_splits
from records.images.large_file import LARGE_FILE_BYTES
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
    deleted: tuple[bytes, ...],
    threads: int,
    is_train_divided: bool,
) -> SourceDiff:
    """Compare a source with the files that a dataset has ingested.

    Args:
        images: table of the listed images, as in `Sources`.
        ingested: the result of `read_ingested_files`.
        fingerprints: table of key and fingerprint of each file when it was last seen unmodified.
        hash_file: function that hashes a file.
        deleted: keys of stored files that are no longer in the source; see `find_deleted`.
        threads: number of threads that call `hash_file`.
        is_train_divided: see `list_splits`.
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
    needed = ~is_resized & (is_doubtful | is_rejected & _may_be_reread(images, previous))
    reading = _read_again(images, previous, needed, hash_file, threads)
    is_changed = is_resized | reading.differs
    is_modified = is_stored & is_changed
    may_be_supported = previous["may_be_supported"].fill_null(False).to_numpy()
    # A reject that could be read before, and cannot be read now, stays the same reject.
    is_retried = is_resized | reading.succeeds & (is_changed | may_be_supported)
    is_new = ~is_ingested | is_rejected & is_retried
    is_relabelled = _differ(previous["labelling"], list_labellings(images))
    source_splits = list_splits(images, is_train_divided=is_train_divided)
    is_relabelled |= _differ(previous["split"], source_splits)
    must_save = (is_new | is_doubtful & ~is_modified).any()
    return SourceDiff(
        is_new=is_new,
        modified=_keys(images, is_modified),
        deleted=deleted,
        relabelled=_keys(images, is_relabelled),
        fingerprints=_updated_fingerprints(images, seen, is_modified) if must_save else None,
    )


def find_deleted(images: pa.Table, ingested: pa.Table) -> tuple[bytes, ...]:
    """Return the keys of the stored files that are not listed; arguments as in `diff_sources`."""
    is_missing = _find(ingested, images).is_null().to_numpy()
    return _keys(ingested, is_missing & ingested["is_stored"].to_numpy())


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


def _may_be_reread(images: pa.Table, previous: pa.Table) -> Mask:
    """Return the mask of files that are worth reading in every run if they are rejected, (N,).

    A large file is read again only if its size or time differs, and a member that was never read
    only if its container differs: reading is expensive, and the listing has read the container.
    """
    is_large = pc.greater(images["size_bytes"], LARGE_FILE_BYTES).to_numpy()
    was_read = previous["xxh3_128"].is_valid().to_numpy()
    worth: Mask = ~is_large & (was_read | images["member"].is_null().to_numpy())
    return worth


class _Reading(NamedTuple):
    """Masks of the files that were read again, (N,): with other content, and without an error."""

    differs: Mask
    succeeds: Mask


def _read_again(
    images: pa.Table, previous: pa.Table, needed: Mask, hash_file: HashFile, threads: int
) -> _Reading:
    """Read files again. The content of a file that cannot be read, now or before, is b""."""
    reading = _Reading(np.zeros(len(images), bool), np.zeros(len(images), bool))
    rows = np.flatnonzero(needed)
    if not len(rows):
        return reading
    files = iter_rows(images.take(pa.array(rows)), "key", "url", "size_bytes", "member")
    before = previous["xxh3_128"].take(pa.array(rows)).to_pylist()
    with ThreadPoolExecutor(threads) as pool:
        found = [*pool.map(lambda file: hash_file(*file), files)]
    reading.differs[rows] = [new != (old or b"") for new, old in zip(found, before, strict=True)]
    reading.succeeds[rows] = [bool(new) for new in found]
    return reading
