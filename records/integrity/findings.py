"""What `verify` found: what is not as it should be, and where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from records.format.tfrecord import FrameError
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from records.errors import CorruptDataError

FindingKind = Literal[
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
    "tfds",
    "manifest",
]

MEANINGS: Mapping[FindingKind, str] = {
    "truncated": "the file ends inside a record",
    "length-checksum": "the checksum of a record's length is wrong; bytes up to the next are lost",
    "payload-checksum": "the checksum of a record is wrong; that record is lost",
    "too-long": "a record says it is over 1 GiB",
    "compression": "a GZIP or ZLIB file is damaged, ends early, or grows a thousandfold",
    "example": "a record is not a tf.train.Example",
    "feature": "a record lacks a feature, or it has another type or not one value",
    "label": "a label that the label map does not have",
    "text": "a record's class name is not that of its label",
    "image": "an image does not decode, or is not as large as its record says",
    "index": "the index says something else than the record, or than the manifest",
    "index-damaged": "the index of a shard cannot be read",
    "duplicate-key": "two records have the same key",
    "record-count": "a shard has more or fewer records than the manifest says",
    "size": "a shard has more or fewer bytes than the manifest says",
    "checksum": "a shard's bytes are not those that were written, though nothing else is wrong",
    "class-count": "a split has more or fewer records of a class than the manifest says",
    "missing": "a file of the dataset is not there",
    "unexpected": "a shard or an index that the manifest does not name",
    "unreadable": "storage failed to read a file",
    "labels": "labels.txt is not the manifest's label map",
    "rejects": "rejects.jsonl is damaged, or has more or fewer lines than the manifest says",
    "tfds": "dataset_info.json or features.json is not what the manifest says",
    "manifest": "dataset.json is damaged; shards are then checked without it",
}
"""What each kind means, in a line."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding.

    Attributes:
        kind: what is wrong.
        file: the file it is in, relative to the dataset.
        detail: what was expected and what is there, in a line.
        record: the record's number in its shard, from 0.
        offset: bytes from the file's beginning (of the decompressed bytes of a compressed file).
        key: the record's key as text.
    """

    kind: FindingKind
    file: str
    detail: str
    record: int | None = None
    offset: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        places = [self.file]
        if self.record is not None:
            places.append(f"record {self.record}")
        if self.offset is not None:
            places.append(f"offset {self.offset}")
        if self.key is not None:
            places.append(self.key)
        return escape_for_display(f"{self.kind}  {' '.join(places)}: {self.detail}")


@dataclass
class FileCheck:
    """A file that was checked: what was read of it, and what is wrong.

    Attributes:
        file: its name in the dataset.
        records: how many records it holds, damaged ones not counted.
        left_out: how many it holds that are not of the dataset.
        size_bytes: how many bytes were read.
        findings: in the order in which they lie in the file.
        keys: of a shard, its keys (Arrow strings) by its index; None where that is no use.
        class_records: of a shard, its records by label, by its index.
    """

    file: str
    records: int = 0
    size_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    keys: pa.ChunkedArray | None = None
    class_records: Counter[int] = field(default_factory=Counter)
    left_out: int = 0


def finding_from_error(
    error: CorruptDataError, kind: FindingKind, file: str, *, offset: int | None = None
) -> Finding:
    """A finding from the error that a reader would have raised."""
    detail = error.what
    if error.expected is not None:
        detail += f", expected {error.expected}"
    if error.got is not None:
        detail += f", got {error.got}"
    return Finding(
        kind=error.kind if isinstance(error, FrameError) else kind,
        file=file,
        detail=detail,
        record=error.record,
        offset=error.offset if offset is None else offset,
    )
