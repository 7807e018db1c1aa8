"""Summary of a shard, in the footer of its index."""

from __future__ import annotations

import msgspec

from records.format.digest import FORMAT_VERSION, FormatVersion
from records.format.layout import SplitName
from records.format.manifest import Digest


class Reject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An image that was found and not stored.

    Attributes:
        key: the key of the image as text.
        class_name: the class of the image; None if the image has no class, or may have several.
        reason: the reason, one of those in `records.images.rejection`.
        detail: the explanation in one printable line.
        bytes: the size of the image file, in bytes.
        xxh3_128: the xxh3-128 of the image file; absent if the file was not read.
        classes: the classes of an image with any number of labels; absent without a class.
    """

    key: str
    class_name: str | None = msgspec.field(name="class")
    reason: str
    detail: str
    bytes: int
    xxh3_128: Digest | None = None
    classes: tuple[str, ...] = ()


class ShardSummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Summary of a finished shard; `class_records` is the number of records per label."""

    name: str
    split: SplitName
    plan_digest: str
    records: int
    bytes: int
    xxh3_128: str
    sha256: str
    class_records: dict[int, int]
    rejects: tuple[Reject, ...] = ()
    format_version: FormatVersion = FORMAT_VERSION
