"""Scan of all records in the files to adopt."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from records.adopt.infer_classes import ClassReference
from records.dataset.record import normalize_class_name, single_value
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format.digest import digest_stream
from records.format.example import decode_example
from records.format.layout import ADOPTED_PATTERN, index_name
from records.format.shard import read_shard
from records.format.tfrecord import HEADER_BYTES, Frame, frame_size_bytes
from records.format.tfrecord_compression import open_tfrecord
from records.images import ImageOptions, NormalizedImage, Rejection, normalize_image
from records.inspection.file_summary import FileSummary, summarize_file
from records.storage import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from records.adopt.unpack import FileToAdopt
    from records.format.example import FeatureValue
    from records.format.schema import FeatureNames
    from records.storage import Storage


OPTIONS = ImageOptions()
"""The default image options of a conversion. An image that they would change is rejected."""
_HINT = "run `shardmill salvage FILE OUTPUT` to copy the intact records to an uncompressed file"


class ScannedImage(NamedTuple):
    """The image in a record, described by the image fields of an index row."""

    offset: int
    stored_bytes: int
    format: str
    width: int
    height: int
    channels: int
    xxh3_128: str


class ScannedRecord(NamedTuple):
    """A record of a file.

    Attributes:
        offset: the offset of the frame, in bytes.
        length: the length of the frame, in bytes.
        reference: the class of the record, by label or name.
        key: the key, as bytes; None if the record has no key.
        image: the image, or the reason why the image is rejected.
    """

    offset: int
    length: int
    reference: ClassReference
    key: bytes | None
    image: ScannedImage | Rejection


class ScannedFile(NamedTuple):
    """A file and all its records; its name, size and hashes are those of the shard."""

    name: str
    size_bytes: int
    xxh3_128: str
    sha256: str
    records: tuple[ScannedRecord, ...]


def summarize_adoptable(storage: Storage, name: str) -> FileSummary:
    """Summarize the first records of a file, and check that the file can be adopted.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: a record is not an Example.
        CorruptDataError: the file is damaged.
    """
    path = storage.display_name(name)
    if storage.stat(name) is None:
        raise InputNotFoundError("file not found", path=path)
    found = summarize_file(storage, name)
    if found.damage is not None:
        raise CorruptDataError(found.damage, path=path, hint=_HINT)
    others = sorted(set(found.payloads) - {"Example"})
    if others:
        raise UsageError(
            "a record is not a tf.train.Example", path=path, expected="Example", got=others[0]
        )
    return found


def read_file(
    storage: Storage,
    file: FileToAdopt,
    names: FeatureNames,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> ScannedFile:
    """Read every record of a file, decompressed if necessary, and decode the images.

    Raises:
        CorruptDataError: a record is damaged, or is not an Example.
    """
    found = []
    try:
        for frame in read_shard(storage, file.source):
            found.append(_read(frame, names))
            on_bytes(found[-1].length)
    except CorruptDataError as error:
        error.path, error.hint = error.path or storage.display_name(file.source), _HINT
        raise
    size_bytes = sum(record.length for record in found)
    xxh3_128 = xxhash.xxh3_128()
    with storage.open(file.source) as stream:
        sha256 = digest_stream(open_tfrecord(stream), xxh3_128.update).sha256
    return ScannedFile(file.shard, size_bytes, xxh3_128.hexdigest(), sha256, tuple(found))


def _read(frame: Frame, names: FeatureNames) -> ScannedRecord:
    features = decode_example(frame.payload)
    encoded = single_value(features, names.image, bytes)
    return ScannedRecord(
        frame.offset,
        frame_size_bytes(len(frame.payload)),
        _read_class(features, names),
        single_value(features, names.key, bytes) or None if names.key is not None else None,
        Rejection("unreadable", f"no feature {names.image} with exactly one bytes value")
        if encoded is None
        else _check_image(encoded, frame.offset + HEADER_BYTES + frame.payload.find(encoded)),
    )


def _read_class(features: Mapping[str, FeatureValue], names: FeatureNames) -> ClassReference:
    label = None if names.label is None else single_value(features, names.label, int)
    text = None if names.text is None else single_value(features, names.text, bytes)
    return ClassReference(label, normalize_class_name(text))


def _check_image(encoded: bytes, offset: int) -> ScannedImage | Rejection:
    stored = normalize_image(encoded, OPTIONS)
    if not isinstance(stored, NormalizedImage):
        return stored
    if stored.changes:
        # TensorFlow and Pillow would decode the file differently, or one of them would fail.
        changes = ", ".join(stored.changes)
        return Rejection("unsupported", f"the image would have to be changed: {changes}")
    return ScannedImage(
        offset,
        len(encoded),
        stored.format,
        stored.width,
        stored.height,
        stored.channels,
        xxhash.xxh3_128_hexdigest(encoded),
    )


_NAME = re.compile(ADOPTED_PATTERN)


def locate_files(files: Sequence[str], folder: str) -> tuple[str, ...]:
    """Return the names of files relative to a folder, sorted.

    Numbers in names are compared by value: `part-9` comes before `part-10`.

    Raises:
        UsageError: a file is outside the folder, is given twice, or has an unsupported name.
    """
    names = sorted({_locate(file, folder) for file in files}, key=_natural_order)
    if len(names) < len(files):
        raise UsageError("a file is given twice", path=folder)
    return tuple(names)


def require_own_indexes(files: Iterable[FileToAdopt], folder: str) -> None:
    """Check that the index of each shard has its own name. Raises UsageError."""
    indexed: dict[str, FileToAdopt] = {}
    for file in files:
        other = indexed.setdefault(index_name(file.shard), file)
        if other != file:
            raise UsageError(
                "the indexes of two files would have the same name",
                path=folder,
                got=f"{other.source} and {file.source}",
                hint="rename one of the files, or omit it",
            )


def _locate(file: str, folder: str) -> str:
    if not is_url(file) and Path(file).is_dir():
        place = shlex.quote(file.rstrip("/"))
        raise UsageError(
            "a folder is given, not TFRecord files",
            path=file,
            hint=f"shardmill adopt {place}/*.tfrecord* {place}",
        )
    name = _relative_name(file, folder)
    if name is None:
        raise UsageError(
            "a file is not in the output folder",
            path=file,
            expected=f"a file below {folder}",
            hint="pass the folder of the files as OUTPUT, or move the files into OUTPUT",
        )
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            "a manifest cannot contain the name of this file",
            path=name,
            expected="only letters, digits and _ . @ = + , ( ) -, and no leading dot",
            hint="rename the file",
        )
    return name


def _relative_name(file: str, folder: str) -> str | None:
    if is_url(folder) or is_url(file):
        prefix = folder.rstrip("/") + "/"
        return file.removeprefix(prefix) if file.startswith(prefix) else None
    # A link counts as a file of the folder that contains the link, not of the link target.
    path = Path(file).parent.resolve() / Path(file).name
    root = Path(folder).resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _natural_order(name: str) -> list[tuple[int, str]]:
    """Return a sort key that compares numbers in names by value."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
