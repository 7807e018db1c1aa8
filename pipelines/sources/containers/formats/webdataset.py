"""Labels and fields of WebDataset samples, from the files next to images."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipelines.sources.cells import cell_text, require_short
from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.entry import Entry
from pipelines.sources.containers.formats.arrays import expand_cifar
from pipelines.sources.containers.formats.tar import list_tar
from pipelines.sources.containers.stream import STEP_BYTES, StreamBytes, hash_members
from records.errors import UsageError
from records.images import IMAGE_EXTENSIONS
from records.strict_json import decode_json
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text

_RANKS = {b"cls": 0, b"json": 1, b"txt": 2}
"""Extensions of files with labels, the best one first."""
_FIELDS = ("label", "cls", "class", "class_name", "class_id", "category", "target")
_LIST_FIELDS = (*_FIELDS, "labels")
_NAME = "class_name"
_EXTENSIONS = frozenset(extension[1:].encode() for extension in IMAGE_EXTENSIONS)
_MOST_BYTES = 64 << 10
_MOST_CHARACTERS = 200
_MOST_FILES = 64
_MOST_FIELD_BYTES = STEP_BYTES
"""Compressed archives are read forwards in steps, so that a larger file cannot be read again."""


def list_tar_samples(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the entries of a TAR archive, with labels. Raises as `list_tar`."""
    return read_samples(expand_cifar(list_tar(data), data), data)


def list_compressed_tar(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the entries of a compressed TAR archive, with labels. Raises as `list_tar`."""
    stream = StreamBytes(data)
    entries = hash_members(expand_cifar(list_tar(stream), stream), stream)
    yield from read_samples(entries, stream)
    stream.copy_rest()


def read_samples(entries: Iterator[Entry], data: ContainerBytes) -> Iterator[Entry]:
    """Yield the entries of a TAR archive, images with the labels and fields of their samples.

    A sample is a sequence of files whose paths are the same up to the first dot of the last part.
    The label is the text of the file `.cls`; if it is a number, and the file `.json` has the field
    `class_name`, the label is this name. Only if the sample is in no folder, it can also be a
    field of the file `.json`, such as `label` or `class`, or the line of the file `.txt`. If the
    user names the field of the label, only this field counts. Fields to keep are those of `.json`.

    Args:
        entries: the entries.
        data: the archive.

    Raises:
        UsageError: the user names fields, or an image may have several labels, and a file `.json`
            is too large, not an object, or has a label that is none.
    """
    sample = _Sample(b"", data)
    for entry in entries:
        stem, extension = _split_name(entry.key)
        if stem != sample.stem or len(sample.entries) == _MOST_FILES:
            yield from sample.labelled()
            sample = _Sample(stem, data)
        sample.add(entry, extension)
    yield from sample.labelled()


class _Sample:
    """Adjacent entries with the same stem."""

    def __init__(self, stem: bytes, data: ContainerBytes) -> None:
        self.stem = stem
        self.entries: list[tuple[Entry, bytes]] = []
        self._data = data
        self._wanted = data.wanted
        self._label: tuple[int, str | tuple[str, ...]] | None = None
        self._fields: dict[str, object] = {}
        self._label_field = ""
        self._problem: UsageError | None = None

    def add(self, entry: Entry, extension: bytes) -> None:
        """Add an entry; the file of a label is read now, because archives are read forwards."""
        self.entries.append((entry, extension))
        if extension not in _RANKS or entry.member is None:
            return
        if extension == b"json":
            self._add_json(entry)
        elif self._wanted.label is None and self._may_have_label(entry, extension):
            text = _decode(self._read(entry)).strip()
            if self._wanted.is_multi_label:
                self._set_label(_RANKS[extension], tuple(text.split("\n")))
            elif _is_label(text):
                self._set_label(_RANKS[extension], text)

    def _add_json(self, entry: Entry) -> None:
        may_have_label = self._wanted.label is not None or self._may_have_label(entry, b"json")
        is_number = self._has_number() and entry.size_bytes <= _MOST_BYTES
        if not (may_have_label or is_number or self._wanted.names_fields):
            return
        self._fields = self._read_fields(entry)
        name = self._fields.get(_NAME)
        if is_number and isinstance(name, str) and _is_label(name):
            self._set_label(_RANKS[b"cls"] - 1, name)
        if may_have_label and (found := self._find_label(entry)) is not None:
            self._label_field, label = found
            self._set_label(_RANKS[b"json"], label)

    def _has_number(self) -> bool:
        """Return whether the label is the number in a file `.cls`: its name may be a field."""
        rank, label = self._label or (None, "")
        is_cls = rank == _RANKS[b"cls"] and self._wanted.label is None
        return is_cls and isinstance(label, str) and label.isdecimal()

    def _find_label(self, entry: Entry) -> tuple[str, str | tuple[str, ...]] | None:
        """Return the field with the label, and the label or the labels; None if there is none."""
        named = self._wanted.label
        if named is not None:
            label = cell_text(self._fields.get(named))
            if label is None:
                self._problem = self._not_labels(entry, named)
            return named, label or ""
        is_multi_label = self._wanted.is_multi_label
        kinds = (str, int, float, list) if is_multi_label else (str, int)
        for name in _LIST_FIELDS if is_multi_label else _FIELDS:
            if name == self._wanted.target:
                continue
            value = self._fields.get(name)
            if not isinstance(value, kinds):
                continue
            label = cell_text(value)
            if label is None and is_multi_label:
                self._problem = self._not_labels(entry, name)
            if label is None or isinstance(value, bool):
                return None
            return (name, label) if is_multi_label or _is_label(str(label)) else None
        return None

    def _not_labels(self, entry: Entry, field: str) -> UsageError:
        return UsageError(
            "a value of the field with the labels is neither text, a number nor a list of them",
            path=self._place(entry),
            got=escape_for_display(field),
        )

    def _may_have_label(self, entry: Entry, extension: bytes) -> bool:
        """Return whether the file can have a label, by its place and its size."""
        if not self._wanted.has_labels:
            return False
        # With several labels, a large JSON file is read or refused: its image must not lose them.
        is_refused = extension == b"json" and self._wanted.is_multi_label
        is_small = entry.size_bytes <= _MOST_BYTES or is_refused
        return is_small and (not _RANKS[extension] or b"/" not in entry.key)

    def _set_label(self, rank: int, label: str | tuple[str, ...]) -> None:
        if self._label is None or rank < self._label[0]:
            self._label = rank, label

    def _read_fields(self, entry: Entry) -> dict[str, object]:
        """Return the fields of the object in a JSON file; of any other file, none.

        If the user names fields, or an image without a label is stored, any other file is a
        problem.
        """
        problem = pluralize(entry.size_bytes, "byte")
        if entry.size_bytes <= _MOST_FIELD_BYTES:
            try:
                return decode_json(_decode(self._read(entry)).encode(), dict[str, object])
            except msgspec.DecodeError as error:
                problem = str(error)
        if self._wanted.names_fields or self._wanted.is_multi_label:
            self._problem = UsageError(
                "a JSON file of a sample has no fields that can be read",
                path=self._place(entry),
                expected=f"one JSON object of at most {_MOST_FIELD_BYTES:,} bytes",
                got=escape_for_display(problem),
            )
        return {}

    def _place(self, entry: Entry) -> str:
        return f"{self._data.shown}: {escape_for_display(key_to_text(entry.key))}"

    def _read(self, entry: Entry) -> bytes:
        assert entry.member is not None
        return self._data.read(entry.member.file_offset, entry.size_bytes)

    def labelled(self) -> Iterator[Entry]:
        """Yield the entries; if there is a label, images have it, and its files are left out.

        Raises UsageError for a problem of a sample with an image.
        """
        has_image = any(_is_image(extension) for _, extension in self.entries)
        is_needed = self._wanted.names_fields or self._label is None
        if has_image and self._problem is not None and is_needed:
            raise self._problem
        rank, label = (None, None) if self._label is None or not has_image else self._label
        if has_image and label is None and self._wanted.is_label_optional:
            label = "" if any(extension in _RANKS for _, extension in self.entries) else None
        used = (self._label_field,) if rank == _RANKS[b"json"] else ()
        fields = self._wanted.cells(self._fields, used)
        if fields and has_image:
            require_short(fields, self._place(self.entries[0][0]))
        for entry, extension in self.entries:
            if entry.member is not None and _is_image(extension):
                # An image in a binary file of CIFAR has a label already.
                yield entry._replace(
                    label=entry.label if label is None else label,
                    fields={**entry.fields, **fields},
                )
            elif label is None or entry.member is None or extension not in _RANKS:
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


def _is_label(text: str) -> bool:
    return 0 < len(text) <= _MOST_CHARACTERS and len(text.splitlines()) == 1
