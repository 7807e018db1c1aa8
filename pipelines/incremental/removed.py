"""Files of a source whose records were removed from the dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.incremental.hashing import HashFiles
from pipelines.incremental.matching import Mask, take_rows
from records.format.edits import RemovedRecord
from records.text.keys import key_from_text


def find_removed(
    images: pa.Table, is_new: Mask, removed: Sequence[RemovedRecord], hash_files: HashFiles
) -> Mask:
    """Return the mask of the new images that must not be added again, (N,).

    An image was removed if its key was, whatever its content is now. A copy of a removed image, or
    a removed image with a new key, has the size and the hash of the removed one; only files of such
    a size are read.

    Args:
        images: table of the listed images, as in `Sources`.
        is_new: mask of the images that have no record, (N,).
        removed: the removed records; those whose file was missing may return.
        hash_files: function that hashes files.
    """
    removed = [record for record in removed if not record.deleted]
    if not removed:
        return np.zeros(len(images), bool)
    keys = pa.array([key_from_text(record.key) for record in removed], pa.large_binary())
    is_removed: Mask = is_new & pc.is_in(images["key"], value_set=keys).to_numpy()
    sizes_bytes = pa.array([record.bytes for record in removed], pa.int64())
    has_size = pc.is_in(images["size_bytes"], value_set=sizes_bytes).to_numpy()
    rows = np.flatnonzero(is_new & ~is_removed & has_size)
    hashes = {bytes.fromhex(record.xxh3_128) for record in removed}
    found = hash_files(take_rows(images, rows))
    is_removed[rows] = [content in hashes for content in found]
    return is_removed
