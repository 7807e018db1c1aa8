"""What others' files hold: every record, its class, and whether its image is as ours are.

Files that are to be adopted, by their names below the folder that becomes a dataset.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from records.adopt.infer_classes import ClassReference
from records.dataset.record import normalize_class_name, single_value
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format.example import decode_example
from records.format.layout import ADOPTED_PATTERN, index_name
from records.format.shard import hash_file, read_shard
from records.format.tfrecord import Frame, frame_size_bytes
from records.images import ImageOptions, NormalizedImage, Rejection, normalize_image
from records.inspection.file_summary import FileSummary, summarize_file
from records.storage import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from records.format.example import FeatureValue
    from records.format.schema import FeatureNames
    from records.storage import Storage


OPTIONS = ImageOptions()
"""What is asked of an image: all but that it be changed."""
_HINT = "`shardmill salvage FILE OUT` copies the whole records of it, uncompressed"


class ScannedImage(NamedTuple):
    """An image in a record: as in an index row."""

    stored_bytes: int
    format: str
    width: int
    height: int
    channels: int
    xxh3_128: str


class ScannedRecord(NamedTuple):
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
    named: ClassReference
    key: bytes | None
    image: ScannedImage | Rejection


class ScannedFile(NamedTuple):
    """A file with all that is in it."""

    name: str
    size_bytes: int
    xxh3_128: str
    records: tuple[ScannedRecord, ...]


def describe(storage: Storage, name: str) -> FileSummary:
    """A file by its first records.

    Raises:
        InputNotFoundError: there is no such file.
        UsageError: it is compressed, or its records are no Examples.
        CorruptDataError: it is damaged.
    """
    path = storage.display_name(name)
    if storage.stat(name) is None:
        raise InputNotFoundError("there is no such file", path=path)
    found = summarize_file(storage, name)
    if found.compression is not None:
        raise UsageError(
            f"a {found.compression.upper()} file cannot be adopted: no record of it can be read "
            "by its place",
            path=path,
            hint=_HINT,
        )
    if found.damage is not None:
        raise CorruptDataError(found.damage, path=path, hint=_HINT)
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
) -> ScannedFile:
    """Every record of a file, its image decoded.

    Raises:
        CorruptDataError: a record is damaged, or no Example.
    """
    found = []
    try:
        for frame in read_shard(storage, name):
            found.append(_read(frame, names))
            on_bytes(found[-1].length)
    except CorruptDataError as error:
        error.path, error.hint = error.path or storage.display_name(name), _HINT
        raise
    size_bytes = sum(record.length for record in found)
    return ScannedFile(name, size_bytes, hash_file(storage, name), tuple(found))


def _read(frame: Frame, names: FeatureNames) -> ScannedRecord:
    features = decode_example(frame.payload)
    encoded = single_value(features, names.image, bytes)
    return ScannedRecord(
        frame.offset,
        frame_size_bytes(len(frame.payload)),
        _read_class(features, names),
        single_value(features, names.key, bytes) or None if names.key is not None else None,
        Rejection("unreadable", f"no feature {names.image} with one value of bytes")
        if encoded is None
        else _check_image(encoded),
    )


def _read_class(features: Mapping[str, FeatureValue], names: FeatureNames) -> ClassReference:
    label = None if names.label is None else single_value(features, names.label, int)
    text = None if names.text is None else single_value(features, names.text, bytes)
    return ClassReference(label, normalize_class_name(text))


def _check_image(encoded: bytes) -> ScannedImage | Rejection:
    stored = normalize_image(encoded, OPTIONS)
    if not isinstance(stored, NormalizedImage):
        return stored
    if stored.changes:
        # As it is, TensorFlow would show something else than Pillow, or nothing.
        changes = ", ".join(stored.changes)
        return Rejection("unsupported", f"a conversion would have to change it: {changes}")
    return ScannedImage(
        len(encoded),
        stored.format,
        stored.width,
        stored.height,
        stored.channels,
        xxhash.xxh3_128_hexdigest(encoded),
    )


_NAME = re.compile(ADOPTED_PATTERN)


def locate_files(files: Sequence[str], target: str) -> tuple[str, ...]:
    """The names of files relative to `target`, in the order of their numbers.

    Raises:
        UsageError: one lies elsewhere, comes twice, or has a name that a manifest cannot hold.
    """
    names = sorted({_locate(file, target) for file in files}, key=_in_order)
    if len(names) < len(files):
        raise UsageError("a file is named twice", path=target)
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(index_name(name), name)
        if other != name:
            raise UsageError(
                "the indexes of two files would have the same name",
                path=target,
                got=f"{other} and {name}",
                hint="rename one of them",
            )
    return tuple(names)


def _locate(file: str, target: str) -> str:
    name = _below(file, target)
    if name is None:
        raise UsageError(
            "a file does not lie in the folder that is to be a dataset",
            path=file,
            expected=f"a file below {target}",
            hint="files stay where they are: TARGET is their folder, or move or link them into it",
        )
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            "a manifest cannot hold the name of this file",
            path=name,
            expected="letters, digits and _ . @ = + , ( ) - in it, and no dot in front",
            hint="rename it",
        )
    return name


def _below(file: str, target: str) -> str | None:
    if is_url(target) or is_url(file):
        prefix = target.rstrip("/") + "/"
        return file.removeprefix(prefix) if file.startswith(prefix) else None
    # A link lies where it lies, wherever it leads.
    path = Path(file).parent.resolve() / Path(file).name
    folder = Path(target).resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


def _in_order(name: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by their value."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
