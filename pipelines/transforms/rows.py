"""Rows of a PCollection, checked."""

from __future__ import annotations

import numbers
import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pipelines.options import ConvertOptions
from pipelines.sources.cells import Cell, cell_text, read_text
from pipelines.sources.lists.columns import NO_SPLIT, ONE_CLASS
from pipelines.sources.lists.kept_columns import (
    check_target,
    check_texts,
    kept_names,
    named_to_keep,
)
from pipelines.sources.lists.rows import check_url
from pipelines.sources.lists.table import ListTable
from records.dataset import Record
from records.errors import UsageError
from records.format.layout import SplitName, parse_split
from records.storage import local_path
from records.storage.untrusted_file import MAX_KEY_BYTES
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text
from records.user_text import is_utf8

REQUIRED_FIELDS = ("key", "label")
CONTENT_FIELDS = ("image", "uri")
"""The fields of which each row has one."""
_LISTS = (list, tuple, set, frozenset, np.ndarray)


class ImageRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row: an image with its labels, without its bytes.

    Attributes:
        key: the key of the image.
        labels: the labels without surrounding blanks, sorted; at most one, unless an image may have
            any number of labels.
        split: the split, if the row has one.
        group: the group, if the row has one.
        url: the absolute path or the URL of the image; None if the row has its bytes.
        size_bytes: the size of the image file; None if there is no file at the URL.
        fingerprint: the fingerprint of the file; see `ListedFile`.
        offset: the position of the bytes in their part.
        xxh3_128: the hash of the bytes; None for a URL.
        kept: the texts of the fields whose values the records keep, in the order of their names.
    """

    key: bytes
    labels: tuple[str, ...]
    split: SplitName | None
    group: bytes | None
    url: str | None
    size_bytes: int | None = None
    fingerprint: int = 0
    offset: int = 0
    xxh3_128: bytes | None = None
    kept: tuple[str, ...] = ()


class RowFields(NamedTuple):
    """The fields of rows that depend on the options.

    Attributes:
        kept: the names of the fields whose values the records keep.
        is_multi_label: whether an image may have any number of labels.
        target: the field with the number of each image, if there is one; also in `kept`. A row
            without the field `label` then has the class of images without labels.
    """

    kept: tuple[str, ...] = ()
    is_multi_label: bool = False
    target: str | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that each row has, except the image or its URI."""
        names = REQUIRED_FIELDS if self.target is None else REQUIRED_FIELDS[:1]
        return (*names, *self.kept)


ONE_LABEL = RowFields()


def row_fields(options: ConvertOptions) -> RowFields:
    """Return the fields that the options name. Raises UsageError if a name cannot be kept."""
    if options.keep_columns == "all":
        raise UsageError(
            "WriteDataset cannot keep all fields of rows",
            path="WriteDataset",
            hint="name the fields: keep_columns=['age', 'site']",
        )
    target = options.target_column
    found = {*named_to_keep(options), *(() if target is None else (target,))}
    names = tuple(sorted(found, key=str.encode))
    kept_names(ListTable("WriteDataset", names, lambda: iter(())), options, names, target)
    return RowFields(names, options.is_multi_label, target)


def show_row(key: bytes) -> str:
    """Return the place of a row, for messages."""
    return f"row {escape_for_display(key_to_text(key))}"


def read_row(row: Any, fields: RowFields = ONE_LABEL) -> tuple[ImageRow, bytes | None]:
    """Return the checked fields of a row, and the bytes of its image, None for a URI.

    Args:
        row: a mapping, or an object with an attribute for each field.
        fields: the fields that depend on the options.

    Raises:
        UsageError: a field is missing or invalid; the message names the key.
    """
    get = row.get if isinstance(row, Mapping) else partial(_get_attribute, row)
    key = _key(get("key"), row)
    place = show_row(key)
    if isinstance(row, Record):
        raise UsageError(
            "a row is a Record of a dataset, whose label is a number",
            path=place,
            expected="a row with the class name as its label",
            hint="beam.Map(lambda record: beam.Row(key=record.key, label=record.class_name, "
            "image=record.image))",
        )
    image, uri = get("image"), get("uri")
    if (image is None) == (uri is None):
        raise UsageError(
            "a row needs either the bytes or the URI of its image",
            path=place,
            expected="one of the fields image and uri",
            got="neither" if image is None else "both",
        )
    if image is not None and not isinstance(image, bytes):
        raise UsageError(
            "the field image of a row is not bytes",
            path=place,
            got=type(image).__name__,
            hint="pass the content of the image file; a path or URL belongs in the field uri",
        )
    read = _Reader(get, place)
    group = read.text("group")
    url = None if uri is None else read.url("uri")
    labels: tuple[str, ...] = (ONE_CLASS,)
    if fields.target is None or _has_field(row, "label"):
        labels = read.labels("label", is_multi_label=fields.is_multi_label)
    kept = read.kept(row, fields.kept)
    if fields.target is not None:
        check_target(kept[fields.kept.index(fields.target)], fields.target, place, key=key)
    return ImageRow(
        key,
        labels,
        read.split("split"),
        os.fsencode(group) or None,
        url,
        kept=kept,
    ), image


def _has_field(row: Any, name: str) -> bool:
    return name in row if isinstance(row, Mapping) else hasattr(row, name)


def _get_attribute(row: Any, name: str) -> Any:
    return getattr(row, name, None)


def _key(key: Any, row: Any) -> bytes:
    """Return the key of a row as bytes. Raises UsageError if it is not a path below a folder."""
    if not isinstance(key, str | bytes):
        raise UsageError(
            "a row has no key" if key is None else "the key of a row is neither text nor bytes",
            path="WriteDataset",
            expected="the fields key, label, and image or uri",
            got=escape_for_display(repr(row)[:100]) if key is None else type(key).__name__,
        )
    try:
        encoded = key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = b""
    normal = posixpath.normpath(encoded)
    if not encoded.strip() or b"\0" in encoded:
        problem = "is empty, or has a character that no path has"
    elif len(encoded) > MAX_KEY_BYTES:
        problem = f"is longer than {MAX_KEY_BYTES:,} bytes"
    elif normal in {b".", b".."} or normal.startswith((b"../", b"/")):
        problem = "leads out of the source"
    else:
        return normal
    raise UsageError(
        f"the key of a row {problem}",
        path=show_row(encoded[:MAX_KEY_BYTES]),
        expected="a path such as rose/1.jpg",
    )


class _Reader:
    """Reads the fields of one row. The methods raise UsageError."""

    def __init__(self, get: Callable[[str], Any], place: str) -> None:
        self._get = get
        self._place = place

    def text(self, name: str) -> str:
        """Return a text or a whole number as text; an empty text for None."""
        value = self._get(name)
        if value is None:
            return ""
        if isinstance(value, numbers.Integral) and not isinstance(value, bool):
            if not 0 <= int(value) < 1 << 63:
                raise self._invalid(name, "is a number out of range", hex(int(value))[:20])
            return str(int(value))
        if not isinstance(value, str):
            raise self._invalid(name, "is neither text nor a whole number", type(value).__name__)
        if not is_utf8(value):
            raise self._invalid(name, "is not valid UTF-8", value)
        return str.__str__(value)  # such as a NumPy string

    def labels(self, name: str, *, is_multi_label: bool) -> tuple[str, ...]:
        """Return the distinct labels of a label or, if allowed, of a list of labels, sorted."""
        value = self._get(name)
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(value, _LISTS):
            labels = [_Reader({name: value}.get, self._place).text(name)]
        elif is_multi_label:
            labels = [_Reader({name: item}.get, self._place).text(name) for item in value]
        else:
            raise UsageError(
                f"the field {name} of a row is a list",
                path=self._place,
                expected="one label",
                got=type(value).__name__,
                hint="pass multi_label=True to store any number of labels per image",
            )
        return tuple(sorted({label.strip() for label in labels} - {""}))

    def kept(self, row: Any, names: Sequence[str]) -> tuple[str, ...]:
        """Return the values of the fields to keep, as texts; None is a missing value."""
        texts: dict[str, Cell] = {}
        for name in names:
            if not _has_field(row, name):
                raise UsageError(
                    f"a row lacks the field {escape_for_display(name)}, which an option names",
                    path=self._place,
                    hint="set the field to None if its value is missing",
                )
            value = self._get(name)
            is_numpy = isinstance(value, np.generic | np.ndarray)
            texts[name] = cell_text(value.tolist() if is_numpy else value)
        return check_texts(
            {name: read_text(texts, name, self._place) for name in names}, self._place
        )

    def split(self, name: str) -> SplitName | None:
        """Return the split that a text stands for."""
        text = self.text(name)
        if text.strip().lower() in NO_SPLIT:
            return None
        split = parse_split(text)
        if split is None:
            raise self._invalid(name, "is unknown", text, expected="train, test or validation")
        return split

    def url(self, name: str) -> str:
        """Return a URL or an absolute path."""
        url = self.text(name)
        if "://" in url:
            check_url(url, self._place, allow_url=True)
        path = local_path(url)
        if path is not None and (not path.startswith("/") or "\0" in path):
            raise self._invalid(
                name, "is neither a URL nor an absolute path", url, expected="such as s3://… or /…"
            )
        return url

    def _invalid(
        self, name: str, problem: str, got: str, expected: str | None = None
    ) -> UsageError:
        what = f"the field {name} of a row {problem}"
        return UsageError(what, path=self._place, expected=expected, got=escape_for_display(got))
