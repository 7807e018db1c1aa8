"""Files of a source that are new, renamed, modified, deleted or relabelled.

Each file is compared with its record, that of its key, or of its previous key if it was renamed. A
stored file is modified if its size differs. If only its fingerprint differs, or is unknown, the
file is read again, and is modified if its content differs.

Every run reads the rejected files again: the user may have repaired a file without a new size or
time. A rejected file counts as new if its content differs, if it can be read now and never could,
or if other versions of the image libraries did not support it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.fingerprints import StoredFiles
from pipelines.incremental.class_renames import ClassRenames
from pipelines.incremental.hashing import HashFiles
from pipelines.incremental.labelling import list_label_digests, list_splits
from pipelines.incremental.matching import Mask, RecordMatches, differ, find_rows, take_rows
from pipelines.incremental.relabelled import find_corrected
from pipelines.incremental.removed import find_removed
from records.format.edits import PastEdits
from records.images.large_file import LARGE_FILE_BYTES


@dataclass(frozen=True)
class SourceDiff:
    """Differences between a source and a dataset.

    Attributes:
        is_new: mask of the listed images to convert, (N,).
        modified: keys of stored files whose content has changed.
        renamed: table of the stored files with a new key: `key`, `stored_key`, and `is_relabelled`,
            whether `relabelled` contains the file.
        deleted: stored keys of files that are no longer listed.
        relabelled: keys of stored files whose labels, group or split in the source are not those in
            the dataset.
        fingerprints: the fingerprint of every known file, with the columns of
            `read_fingerprints`, to save after the new images are stored; None if none has changed.
        removed: keys of files that are not added, because their records were removed.
        corrected: table of the unmodified files with other labels in the source: `key`,
            `stored_key`, `label` and `labels`.
        renames: the classes of the dataset that get new names.
        has_saved: whether fingerprints were saved before.
        stored: the files of the dataset to save with the fingerprints; None if they are not saved.
    """

    is_new: Mask
    modified: tuple[bytes, ...]
    renamed: pa.Table
    deleted: tuple[bytes, ...]
    relabelled: tuple[bytes, ...]
    fingerprints: pa.Table | None
    removed: tuple[bytes, ...]
    corrected: pa.Table
    renames: ClassRenames
    has_saved: bool = False
    stored: StoredFiles | None = None


def diff_sources(
    images: pa.Table,
    matches: RecordMatches,
    fingerprints: pa.Table,
    hash_files: HashFiles,
    *,
    deleted: tuple[bytes, ...],
    edits: PastEdits,
    renames: ClassRenames,
    is_train_divided: bool,
) -> SourceDiff:
    """Compare a source with the files that a dataset has ingested.

    Args:
        images: table of the listed images in key order, as in `Sources`, and their `labelling`.
        matches: the records of the images; those of missing files are matched.
        fingerprints: table of the fingerprint of each file when it was last seen unmodified, as
            `read_fingerprints` returns it.
        hash_files: function that hashes files.
        deleted: stored keys of files that are no longer in the source.
        edits: the records of the dataset that were removed or relabelled.
        renames: the classes that get new names in this run.
        is_train_divided: see `list_splits`.
    """
    previous = matches.files()
    saved = take_rows(fingerprints, find_rows(images["key"], fingerprints["key"]))
    seen = saved["fingerprint"]
    is_seen = seen.is_valid().to_numpy()
    is_touched = is_seen & differ(seen, images["fingerprint"])
    is_resized = differ(previous["size_bytes"], images["size_bytes"])
    is_ingested = previous["key"].is_valid().to_numpy()
    is_rejected = is_ingested & ~matches.is_stored
    is_doubtful = is_ingested & (is_touched | ~is_seen)
    needed = ~is_resized & (is_doubtful | is_rejected & _may_be_reread(images, previous))
    needed &= ~matches.is_recognised & ~matches.is_modified
    reading = _read_again(images, previous, needed, hash_files)
    is_changed = is_resized | reading.differs
    may_be_supported = previous["may_be_supported"].fill_null(False).to_numpy()
    # A reject that could be read before, and cannot be read now, stays the same reject.
    is_retried = is_resized | reading.succeeds & (is_changed | may_be_supported)

    is_modified = matches.is_stored & is_changed
    # The file of a modified record may have another key now, and another file its old key.
    matches.match(matches.numbers[is_modified & ~matches.is_renamed])
    is_stored, is_renamed = matches.is_stored, matches.is_renamed
    is_modified |= matches.is_modified
    is_new = ~is_stored & (~is_ingested | is_retried)
    removed = find_removed(images, is_new, edits.removed, saved, hash_files)
    is_new &= ~removed.is_removed
    previous = matches.files()
    is_relabelled = differ(previous["labelling"], images["labelling"])
    is_relabelled &= ~find_corrected(images, previous, edits.relabelled, renames.labels)
    # The labels of a modified file are those of its new content, which is not stored.
    has_other_labels = is_relabelled & ~is_modified
    has_other_labels &= differ(previous["label_digest"], list_label_digests(images))
    corrected = images.select(["key", "label", "labels"])
    corrected = corrected.append_column("stored_key", previous["key"])
    source_splits = list_splits(images, is_train_divided=is_train_divided)
    is_relabelled |= differ(previous["split"], source_splits)
    renamed = images.select(["key"]).append_column("stored_key", previous["key"])
    renamed = renamed.append_column("is_relabelled", pa.array(is_relabelled))
    updated = pa.concat_tables(
        [
            _updated_fingerprints(images, seen, matches, is_modified, removed.stored_keys),
            matches.find_unlisted(fingerprints, is_modified),
        ]
    )
    is_recognised = matches.is_recognised | removed.is_read
    must_save = (is_new | is_recognised | is_doubtful & ~is_modified).any()
    has_fewer_renamed = _count_renamed(updated) < _count_renamed(fingerprints)
    return SourceDiff(
        is_new=is_new,
        modified=_keys(images, is_modified),
        renamed=renamed.filter(pa.array(is_renamed)),
        deleted=deleted,
        relabelled=_keys(images, is_relabelled),
        fingerprints=updated if must_save or has_fewer_renamed else None,
        removed=_keys(images, removed.is_removed),
        corrected=corrected.filter(pa.array(has_other_labels)),
        renames=renames,
    )


def _updated_fingerprints(
    images: pa.Table,
    seen: pa.ChunkedArray,
    matches: RecordMatches,
    is_modified: Mask,
    removed_keys: pa.Array,
) -> pa.Table:
    """Return the fingerprints of the images to save, as `read_fingerprints` does.

    Modified files keep their previous fingerprint, if any: the next append reports them again.
    """
    fingerprints = pc.if_else(pa.array(is_modified), seen, images["fingerprint"])
    stored_keys = pc.if_else(pa.array(matches.is_renamed), matches.files()["key"], removed_keys)
    columns = {"key": images["key"], "fingerprint": fingerprints, "stored_key": stored_keys}
    return pa.table(columns).filter(fingerprints.is_valid())


def _count_renamed(fingerprints: pa.Table) -> int:
    return len(fingerprints) - int(fingerprints["stored_key"].null_count)


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
    images: pa.Table, previous: pa.Table, needed: Mask, hash_files: HashFiles
) -> _Reading:
    """Read files again. The content of a file that cannot be read, now or before, is b""."""
    reading = _Reading(np.zeros(len(images), bool), np.zeros(len(images), bool))
    rows = np.flatnonzero(needed)
    found = hash_files(take_rows(images, rows))
    before = take_rows(previous, rows)["xxh3_128"].to_pylist()
    reading.differs[rows] = [new != (old or b"") for new, old in zip(found, before, strict=True)]
    reading.succeeds[rows] = [bool(new) for new in found]
    return reading
