"""Files of a source whose records were removed from the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.incremental.hashing import HashFiles
from pipelines.incremental.matching import Mask, take_rows
from records.format.edits import RemovedRecord
from records.text.keys import key_from_text


class RemovedFiles(NamedTuple):
    """The files that must not be added again.

    Attributes:
        is_removed: mask of these images, (N,).
        stored_keys: the keys of their records, large_binary (N,); null for an image that has the
            key of its record, or none.
        is_read: mask of the images that this run has read and recognised, (N,).
    """

    is_removed: Mask
    stored_keys: pa.Array
    is_read: Mask


def find_removed(
    images: pa.Table,
    is_new: Mask,
    removed: Sequence[RemovedRecord],
    saved: pa.Table,
    hash_files: HashFiles,
) -> RemovedFiles:
    """Return the new images that must not be added again.

    An image was removed if its key was, whatever its content is now. A copy of a removed image, or
    a removed image with a new key, has the size and the hash of the removed one. Only files of such
    a size are read, unless an earlier run has found them unmodified under their new key.

    Args:
        images: table of the listed images, as in `Sources`.
        is_new: mask of the images that have no record, (N,).
        removed: the removed records.
        saved: the row of `read_fingerprints` of each image.
        hash_files: function that hashes files.
    """
    nothing, no_keys = np.zeros(len(images), bool), pa.nulls(len(images), pa.large_binary())
    if not removed:
        return RemovedFiles(nothing, no_keys, nothing)
    keys = pa.array([key_from_text(record.key) for record in removed], pa.large_binary())
    has_key: Mask = is_new & pc.is_in(images["key"], value_set=keys).to_numpy()
    is_unmodified = pc.equal(saved["fingerprint"], images["fingerprint"]).fill_null(False)
    is_known = pc.and_(is_unmodified, pc.is_in(saved["stored_key"], value_set=keys)).to_numpy()
    is_known &= is_new & ~has_key
    sizes_bytes = pa.array([record.bytes for record in removed], pa.int64())
    has_size = pc.is_in(images["size_bytes"], value_set=sizes_bytes).to_numpy()
    rows = np.flatnonzero(is_new & ~has_key & ~is_known & has_size)
    by_hash = {bytes.fromhex(record.xxh3_128): key_from_text(record.key) for record in removed}
    found = [by_hash.get(content) for content in hash_files(take_rows(images, rows))]
    is_read = nothing.copy()
    is_read[rows] = [key is not None for key in found]
    read_keys = pa.array([key for key in found if key is not None], pa.large_binary())
    known_keys = pc.if_else(pa.array(is_known), saved["stored_key"].combine_chunks(), no_keys)
    stored_keys = pc.replace_with_mask(known_keys, pa.array(is_read), read_keys)
    return RemovedFiles(has_key | is_known | is_read, stored_keys, is_read)
