"""Lists of removed records, `removed.jsonl`, one file per generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import CorruptDataError
from records.format import layout
from records.format.layout import SplitName
from records.format.manifest import Count, Digest
from records.format.shard import missing_as_corrupt
from records.strict_json import decode_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.format.manifest import Manifest
    from records.storage import Storage


class RemovedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A record that was removed on purpose.

    Attributes:
        key: the key of the image as text.
        class_name: the class of the image; None if the image may have several.
        split: the split of the record.
        bytes: the size of the source file, in bytes.
        xxh3_128: the xxh3-128 of the source file.
        shards: the names of the shards that contained the record, the newest first.
        classes: the classes of an image with any number of labels; absent without a class.
    """

    key: str
    class_name: str | None = msgspec.field(name="class")
    split: SplitName
    bytes: Count
    xxh3_128: Digest
    shards: tuple[str, ...]
    classes: tuple[str, ...] = ()


def encode_removed(records: Iterable[RemovedRecord]) -> bytes:
    """Return the content of `removed.jsonl`."""
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def read_removed(storage: Storage, generation: int) -> list[RemovedRecord]:
    """Read the removed records of one generation.

    Raises:
        FileNotFoundError: the file is missing.
        CorruptDataError: the file is damaged.
    """
    name = layout.generation_path(layout.REMOVED, generation)
    try:
        return decode_json_lines(storage.read(name), RemovedRecord)
    except msgspec.DecodeError as error:
        raise CorruptDataError(
            "the list of removed records is damaged",
            path=storage.display_name(name),
            got=str(error),
        ) from error


def read_all_removed(storage: Storage, manifest: Manifest) -> list[RemovedRecord]:
    """Return the removed records of all generations, the oldest generation first.

    Raises:
        CorruptDataError: a list is missing or damaged.
    """
    removed: list[RemovedRecord] = []
    for generation in manifest.generations:
        name = layout.generation_path(layout.REMOVED, generation.number)
        if name in manifest.files:
            with missing_as_corrupt(storage, name):
                removed += read_removed(storage, generation.number)
    return removed
