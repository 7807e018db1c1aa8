"""Lists of removed records, `removed.jsonl`, one file per generation."""

from __future__ import annotations

import msgspec

from records.format import layout
from records.format.edits.lists import EditList
from records.format.layout import SplitName
from records.format.manifest import Count, Digest


class RemovedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A record that was removed on purpose.

    Attributes:
        key: the key of the image as text.
        class_name: the class of the image; None if the image may have several.
        split: the split of the record.
        bytes: the size of the source file, in bytes.
        xxh3_128: the xxh3-128 of the source file.
        classes: the classes of an image with any number of labels; absent without a class.
        deleted: whether its file was missing from the source; an incremental run adds the image
            again if the file returns. JSON calls it `gone`.
        earlier: whether an earlier generation removed the record because its file was missing. The
            image is not added again from this generation on.
    """

    key: str
    class_name: str | None = msgspec.field(name="class")
    split: SplitName
    bytes: Count
    xxh3_128: Digest
    classes: tuple[str, ...] = ()
    deleted: bool = msgspec.field(name="gone", default=False)
    earlier: bool = False

    @property
    def is_edit(self) -> bool:
        """Whether the generation of this entry removed the record."""
        return not self.earlier


REMOVED = EditList(layout.REMOVED, RemovedRecord, "removed records")
