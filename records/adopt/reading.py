"""What others' files hold: every record, its class, and whether its image is as ours are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import xxhash

from records.adopt.classes import Named
from records.errors import DamagedError, NoInputError, UsageError
from records.example import decode_example
from records.framing import Frame, frame_size_bytes
from records.images import ImageOptions, Rejection, StoredImage, store_image
from records.record import class_text, single
from records.reports.describe import FileDescription, describe_file
from records.shard import hash_file, read_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from records.example import FeatureValue
    from records.schema import FeatureNames
    from records.storage import Storage

OPTIONS = ImageOptions()
"""What is asked of an image: all but that it be changed."""
_HINT = "`shardmill salvage FILE OUT` copies the whole records of it, uncompressed"


class FoundImage(NamedTuple):
    """An image in a record: as in an index row."""

    stored_bytes: int
    format: str
    width: int
    height: int
    channels: int
    xxh3_128: str


class FoundRecord(NamedTuple):
    """A record of a file.

    Attributes:
        offset: of its frame, bytes.
        length: of its frame, bytes.
        named: how it tells its class.
        key: its own, raw; None where it has none.
        image: what it shows, or why that cannot be of a dataset.
    """

    offset: int
    length: int
    named: Named
    key: bytes | None
    image: FoundImage | Rejection


class FoundFile(NamedTuple):
    """A file with all that is in it."""

    name: str
    size_bytes: int
    xxh3_128: str
    records: tuple[FoundRecord, ...]


def describe(storage: Storage, name: str) -> FileDescription:
    """A file by its first records.

    Raises:
        NoInputError: there is no such file.
        UsageError: it is compressed, or its records are no Examples.
        DamagedError: it is damaged.
    """
    path = storage.describe(name)
    if storage.facts(name) is None:
        raise NoInputError("there is no such file", path=path)
    found = describe_file(storage, name)
    if found.compression is not None:
        raise UsageError(
            f"a {found.compression.upper()} file cannot be adopted: no record of it can be read "
            "by its place",
            path=path,
            hint=_HINT,
        )
    if found.damage is not None:
        raise DamagedError(found.damage, path=path, hint=_HINT)
    others = sorted(set(found.payloads) - {"Example"})
    if others:
        raise UsageError(
            "a record is no tf.train.Example", path=path, expected="Example", got=others[0]
        )
    return found


def read_file(
    storage: Storage,
    name: str,
    names: FeatureNames,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> FoundFile:
    """Every record of a file, its image decoded.

    Raises:
        DamagedError: a record is damaged, or no Example.
    """
    found = []
    try:
        for frame in read_shard(storage, name):
            found.append(_read(frame, names))
            on_bytes(found[-1].length)
    except DamagedError as error:
        error.path, error.hint = error.path or storage.describe(name), _HINT
        raise
    size_bytes = sum(record.length for record in found)
    return FoundFile(name, size_bytes, hash_file(storage, name), tuple(found))


def _read(frame: Frame, names: FeatureNames) -> FoundRecord:
    features = decode_example(frame.payload)
    encoded = single(features, names.image, bytes)
    return FoundRecord(
        frame.offset,
        frame_size_bytes(len(frame.payload)),
        _read_class(features, names),
        single(features, names.key, bytes) or None if names.key is not None else None,
        Rejection("unreadable", f"no feature {names.image} with one value of bytes")
        if encoded is None
        else _check_image(encoded),
    )


def _read_class(features: Mapping[str, FeatureValue], names: FeatureNames) -> Named:
    label = None if names.label is None else single(features, names.label, int)
    text = None if names.text is None else single(features, names.text, bytes)
    return Named(label, class_text(text))


def _check_image(encoded: bytes) -> FoundImage | Rejection:
    stored = store_image(encoded, OPTIONS)
    if not isinstance(stored, StoredImage):
        return stored
    if stored.changes:
        # As it is, TensorFlow would show something else than Pillow, or nothing.
        changes = ", ".join(stored.changes)
        return Rejection("unsupported", f"a conversion would have to change it: {changes}")
    return FoundImage(
        len(encoded),
        stored.format,
        stored.width,
        stored.height,
        stored.channels,
        xxhash.xxh3_128_hexdigest(encoded),
    )
