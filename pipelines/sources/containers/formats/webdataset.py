"""Labels of WebDataset samples, from the files next to images."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.entry import Entry
from pipelines.sources.containers.formats.arrays import expand_cifar
from pipelines.sources.containers.formats.tar import list_tar
from pipelines.sources.containers.stream import StreamBytes, hash_members
from records.images import IMAGE_EXTENSIONS
from records.strict_json import decode_json

_RANKS = {b"cls": 0, b"json": 1, b"txt": 2}
"""Extensions of files with labels, the best one first."""
_FIELDS = ("label", "cls", "class", "class_name", "class_id", "category", "target")
_EXTENSIONS = frozenset(extension[1:].encode() for extension in IMAGE_EXTENSIONS)
_MOST_BYTES = 64 << 10
_MOST_CHARACTERS = 200
_MOST_FILES = 64


def list_tar_samples(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the entries of a TAR archive, with labels. Raises as `list_tar`."""
    return read_samples(expand_cifar(list_tar(data), data), data)


def list_compressed_tar(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the entries of a compressed TAR archive, with labels. Raises as `list_tar`."""
    stream = StreamBytes(data)
    entries = hash_members(expand_cifar(list_tar(stream), stream), stream)
    return read_samples(entries, stream)


def read_samples(entries: Iterator[Entry], data: ContainerBytes) -> Iterator[Entry]:
    """Yield the entries of a TAR archive, images with the labels of their samples.

    A sample is a sequence of files whose paths are the same up to the first dot of the last part.
    The label is the text of the file `.cls`. Only if the sample is in no folder, it can also be a
    field of the file `.json`, such as `label` or `class`, or the line of the file `.txt`.

    Args:
        entries: the entries.
        data: the archive.
    """
    sample = _Sample(b"")
    for entry in entries:
        stem, extension = _split_name(entry.key)
        if stem != sample.stem or len(sample.entries) == _MOST_FILES:
            yield from sample.labelled()
            sample = _Sample(stem)
        sample.add(entry, extension, data)
    yield from sample.labelled()


class _Sample:
    """Adjacent entries with the same stem."""

    def __init__(self, stem: bytes) -> None:
        self.stem = stem
        self.entries: list[tuple[Entry, bytes]] = []
        self._label: tuple[int, str] | None = None

    def add(self, entry: Entry, extension: bytes, data: ContainerBytes) -> None:
        """Add an entry; the file of a label is read now, because archives are read forwards."""
        self.entries.append((entry, extension))
        rank = _RANKS.get(extension)
        member = entry.member
        if rank is None or member is None or not 0 < entry.size_bytes <= _MOST_BYTES:
            return
        if rank and b"/" in entry.key:
            return
        text = _decode(data.read(member.file_offset, entry.size_bytes))
        label = _read_json(text, data.label_column) if extension == b"json" else text.strip()
        is_label = 0 < len(label) <= _MOST_CHARACTERS and len(label.splitlines()) == 1
        if is_label and (self._label is None or rank < self._label[0]):
            self._label = rank, label

    def labelled(self) -> Iterator[Entry]:
        """Yield the entries; if there is a label, images have it, and its files are left out."""
        has_image = any(_is_image(extension) for _, extension in self.entries)
        label = None if self._label is None or not has_image else self._label[1]
        for entry, extension in self.entries:
            if label is None or entry.member is None:
                yield entry
            elif _is_image(extension):
                yield entry._replace(label=label)
            elif extension not in _RANKS:
                yield entry


def _split_name(key: bytes) -> tuple[bytes, bytes]:
    """Return the stem of a sample, and the extension in lower case without a dot."""
    folder, separator, base = key.rpartition(b"/")
    stem, _, extension = base.partition(b".")
    return folder + separator + stem, extension.lower()


def _is_image(extension: bytes) -> bool:
    return extension.rpartition(b".")[2] in _EXTENSIONS


def _decode(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _read_json(text: str, field: str | None) -> str:
    """Return the label in a JSON object, in a given field or a well-known one; empty for none."""
    try:
        fields = decode_json(text.encode(), dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return ""
    values = (fields.get(name) for name in (_FIELDS if field is None else (field,)))
    found = next((it for it in values if isinstance(it, str | int)), "")
    return str(found) if not isinstance(found, bool) else ""
