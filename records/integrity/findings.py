"""Kinds of damage, their meanings, and single findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from records.format.tfrecord import FrameError
from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from records.errors import CorruptDataError
    from records.verification.unfinished import UnfinishedRun

FindingKind = Literal[
    "empty",
    "truncated",
    "length-checksum",
    "payload-checksum",
    "too-long",
    "compression",
    "example",
    "feature",
    "label",
    "text",
    "image",
    "index",
    "index-damaged",
    "duplicate-key",
    "record-count",
    "size",
    "checksum",
    "class-count",
    "missing",
    "unexpected",
    "unreadable",
    "labels",
    "rejects",
    "skipped",
    "edits",
    "tfds",
    "croissant",
    "signature",
    "manifest",
]

MEANINGS: Mapping[FindingKind, str] = {
    "empty": "the single file contains no records",
    "truncated": "the file ends inside a record",
    "length-checksum": "the checksum of the length of a record is wrong; the bytes up to the "
    "next intact record are lost",
    "payload-checksum": "the checksum of a record is wrong; that record is lost",
    "too-long": "the length of a record is over 1 GiB",
    "compression": "a GZIP or ZLIB file is damaged, ends early, or expands more than 1000-fold",
    "example": "a record contains no tf.train.Example and no tf.train.SequenceExample",
    "feature": "a feature of a record is missing, or has the wrong type or number of values",
    "label": "a label is not in the label map",
    "text": "the class name of a record is not the name of its label",
    "image": "an image cannot be decoded, or its dimensions are not those in its record",
    "index": "a row of the index does not match its record, or the index does not match the "
    "manifest",
    "index-damaged": "the index of a shard cannot be read",
    "duplicate-key": "two records have the same key",
    "record-count": "the number of records in a shard does not match the manifest",
    "size": "the size of a shard does not match the manifest",
    "checksum": "the hash of a shard does not match the manifest, although nothing else is wrong",
    "class-count": "the number of records of a class in a split does not match the manifest",
    "missing": "a file of the dataset is missing",
    "unexpected": "the folder contains a shard, an index or another .tfrecord or .parquet file "
    "that no manifest lists",
    "unreadable": "the storage failed to read a file",
    "labels": "labels.txt does not match the label map in the manifest",
    "rejects": "rejects.jsonl is damaged, or its number of lines does not match the manifest",
    "skipped": "skipped.jsonl is damaged, or its counts do not match the manifest",
    "edits": "removed.jsonl or relabelled.jsonl is damaged, or its number of lines does not match "
    "the manifest",
    "tfds": "dataset_info.json or features.json does not match the manifest",
    "croissant": "croissant.json does not match the manifest",
    "signature": "dataset.intoto.jsonl is missing, or is not the signature of this generation by "
    "the given key",
    "manifest": "dataset.json or the saved manifest of an earlier generation is damaged, or the "
    "size and hash of a file in dataset.json are wrong or missing",
}
"""The meaning of each kind, in one line."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong in a file, with its place.

    Attributes:
        kind: the kind of damage; `MEANINGS` explains it.
        file: the damaged file, relative to the dataset.
        detail: what is wrong, with the expected and the actual value, in one line.
        record: the number of the record in its shard, from 0.
        offset: the byte offset in the file; for a compressed file, in the decompressed bytes.
        key: the key of the record as text.
        lost_bytes: the number of bytes of a compressed file that cannot be decompressed; 0 if the
            file ends early.
    """

    kind: FindingKind
    file: str
    detail: str
    record: int | None = None
    offset: int | None = None
    key: str | None = None
    lost_bytes: int | None = None

    def __str__(self) -> str:
        places = [self.file]
        if self.record is not None:
            places.append(f"record {self.record}")
        if self.offset is not None:
            places.append(f"offset {self.offset}")
        if self.key is not None:
            places.append(self.key)
        line = abbreviate(f"{self.kind}  {' '.join(places)}: {self.detail}", _MAX_CHARACTERS)
        return abbreviate(escape_for_display(line), _MAX_CHARACTERS)


_MAX_CHARACTERS = 2000


@dataclass
class FileCheck:
    """The result of checking one file.

    Attributes:
        file: the name of the file in the dataset.
        records: the number of intact records in the file that belong to the dataset.
        size_bytes: the number of bytes read.
        findings: the findings in the order of their offsets.
        keys: the keys in the index of a shard (Arrow strings); None if the index cannot be used.
        class_records: the number of records per label in the index of a shard.
        excluded_records: the number of records that `adopt` excluded from the dataset.
        unfinished: the unfinished run that adds to the dataset; only for the manifest.
        is_repairable: whether `repair` can make files of the dataset again; only for the manifest.
    """

    file: str
    records: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    keys: pa.ChunkedArray | None = None
    class_records: Counter[int] = field(default_factory=Counter)
    excluded_records: int = 0
    unfinished: UnfinishedRun | None = None
    is_repairable: bool = False


def empty_file(file: str) -> Finding:
    """Return the finding about a file without records: often an upload has failed."""
    return Finding("empty", file, "the file contains no records, expected at least one")


def finding_from_error(
    error: CorruptDataError, kind: FindingKind, file: str, *, offset: int | None = None
) -> Finding:
    """Return the finding for an error that a reader raised.

    Args:
        error: the error.
        kind: the kind of the finding; not used for a FrameError, which already has a kind.
        file: the name of the file.
        offset: the offset in the file; by default the offset in the error.
    """
    said = error.to_dict()
    detail = str(said["what"])
    if said["expected"] is not None:
        detail += f", expected {said['expected']}"
    if said["got"] is not None:
        detail += f", got {said['got']}"
    return Finding(
        kind=error.kind if isinstance(error, FrameError) else kind,
        file=file,
        detail=detail,
        record=error.record,
        offset=error.offset if offset is None else offset,
    )
