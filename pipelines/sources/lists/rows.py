"""Rows of a list: paths, labels, splits and groups, checked."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from pipelines.options import ConvertOptions
from pipelines.sources.cells import (
    Cell,
    Row,
    distinct_labels,
    read_labels,
    read_text,
    require_utf8,
)
from pipelines.sources.lists.columns import NO_SPLIT, ONE_CLASS, Roles
from pipelines.sources.lists.kept_columns import check_target, check_texts
from pipelines.sources.lists.table import ListTable, folder_name
from pipelines.sources.one_hot import read_one_hot
from records.errors import UsageError
from records.format.layout import SplitName, parse_split
from records.storage import is_url, local_path
from records.text.escaping import escape_for_display

_MAX_PATH_BYTES = 4096
_URL_PROTOCOLS = ("file://", "memory://", "s3://", "gs://", "az://")
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_LABEL_STUDIO = ("/data/local-files/?d=", "/data/upload/")


class ListRow(msgspec.Struct, frozen=True, gc=False):
    """One row of a list.

    Attributes:
        number: the number of the row.
        key: the path below the source, or the URL.
        url: the URL, if the path is one.
        labels: the labels without surrounding blanks; at most one, unless an image may have any
            number of labels.
        split: the split, if the row has one.
        group: the group, if the row has one.
        spellings: other paths that the row may mean: without surrounding blanks, or with slashes in
            place of backslashes.
        is_confirmed: False if the label of the row is wrong; the row then has no labels here.
        kept: the texts of the columns that are kept, in the order of `Roles.kept`.
    """

    number: int
    key: bytes
    url: str | None
    labels: tuple[str, ...]
    split: SplitName | None
    group: str | None
    spellings: tuple[bytes, ...] = ()
    is_confirmed: bool = True
    kept: tuple[str, ...] = ()


def read_rows(
    table: ListTable, roles: Roles, options: ConvertOptions, folder: str = ""
) -> Iterator[ListRow]:
    """Yield the rows of a list.

    Args:
        table: the list.
        roles: the columns of the list.
        options: the source of the images, and which URLs and how many labels a row may have.
        folder: the folder below the source that relative paths are relative to.

    Raises:
        UsageError: a row has no path, a path that leads out of the source, an unknown split,
            several labels, or a target that is not a number; the message contains the number of
            the row.
    """
    reader = _RowReader(table, roles, options, folder)
    for number, cells in table.rows():
        row = reader.read(number, cells)
        if roles.kept:
            row = replace(row, kept=reader.read_kept(number, cells))
        if roles.target is not None:
            text = row.kept[roles.kept.index(roles.target)]
            check_target(text, roles.target, table.place(number), key=row.key)
        if roles.confidence is not None and _is_zero(cells.get(roles.confidence, "")):
            row = replace(row, labels=(), split=None, group=None, is_confirmed=False)
        yield row


def _is_zero(cell: Cell) -> bool:
    return isinstance(cell, str) and cell.strip() in {"0", "0.0"}


class _RowReader:
    """Reads the rows of one list."""

    def __init__(
        self, table: ListTable, roles: Roles, options: ConvertOptions, folder: str
    ) -> None:
        self._table = table
        self._roles = roles
        self._one_hot = frozenset(roles.labels)
        self._source = options.source
        self._allow_url = options.allow_url
        self._separator = options.label_separator
        self._is_multi_label = options.is_multi_label
        self._folder = folder

    def read(self, number: int, cells: Row) -> ListRow:
        roles = self._roles
        where = self._table.place(number)
        path = read_text(cells, roles.path, where)
        if not path.strip() or "\0" in path:
            raise UsageError("a row has no path, or a path with a zero byte", path=where)
        found = self._read_labels(cells, path, where)
        labels = distinct_labels(found, where, is_multi_label=self._is_multi_label)
        split = self._split(cells, where)
        group = (read_text(cells, roles.group, where) or None) if roles.group else None
        if "://" in path[:_MAX_PATH_BYTES] and (key := self._url_key(path, where)) is not None:
            return ListRow(number, key, None, labels, split, group)
        _check_length(path, where)
        if "://" in path:
            return ListRow(number, _encode(path), path, labels, split, group)
        key = self._key(path, where)
        return ListRow(number, key, None, labels, split, group, self._spellings(path, key, where))

    def read_kept(self, number: int, cells: Row) -> tuple[str, ...]:
        """Return the texts of the columns to keep. Raises UsageError."""
        where = self._table.place(number)
        return check_texts(
            {name: read_text(cells, name, where) for name in self._roles.kept}, where
        )

    def _read_labels(self, cells: Row, path: str, where: str) -> Iterator[str]:
        if self._roles.has_class_folders:
            folder = folder_name(path)
            require_utf8(folder, where)
            return iter((folder,) if folder else ())
        if not self._roles.labels:
            return iter((ONE_CLASS,))
        if self._roles.is_one_hot:
            return read_one_hot(cells, self._one_hot, where)
        return read_labels(cells, self._roles.labels[0], self._separator, where)

    def _split(self, cells: Row, where: str) -> SplitName | None:
        if self._roles.split is None:
            return None
        name = read_text(cells, self._roles.split, where)
        if len(name) < 100 and name.strip().lower() in NO_SPLIT:
            return None
        split = parse_split(name)
        if split is None:
            raise UsageError(
                "a row has an unknown split",
                path=where,
                expected="train, test or validation",
                got=escape_for_display(name),
                hint="pass --split-column none if the column "
                f"{escape_for_display(self._roles.split)} is not the split",
            )
        return split

    def _url_key(self, url: str, where: str) -> bytes | None:
        """Return the key of a URL below the source; None for any other URL."""
        root = self._source.rstrip("/") + "/"
        if is_url(self._source) and url.strip().startswith(root):
            path = url.strip().removeprefix(root).lstrip("/")
            return self._key(unquote(path) if root.startswith("file:") else path, where, folder="")
        check_url(url, where, allow_url=self._allow_url)
        return None

    def _key(self, path: str, where: str, folder: str | None = None) -> bytes:
        _check_length(path, where)
        folder = self._folder if folder is None else folder
        if path.startswith("/") and self._is_below(f"{folder}{path}"):
            path = path.lstrip("/")  # as in lists of Places365
        relative = _relative_path(path, self._source, where)
        # An absolute path below the source, and a path that begins with the folder, are complete.
        is_whole = path.startswith("/") or relative.startswith(f"{folder}/")
        return _encode(relative if not folder or is_whole else f"{folder}/{relative}")

    def _is_below(self, path: str) -> bool:
        """Return whether an absolute path means a file below a local source."""
        relative = posixpath.normpath(path.lstrip("/"))
        root = local_path(self._source) or self._source
        is_inside = relative != ".." and not relative.startswith("../")
        return is_inside and not is_url(root) and os.path.lexists(f"{root}/{relative}")

    def _spellings(self, path: str, key: bytes, where: str) -> tuple[bytes, ...]:
        others = dict.fromkeys((path.strip(), path.strip().replace("\\", "/")))
        others.pop(path, None)
        if not others:
            return ()
        if _WINDOWS_PATH.match(path.strip()):
            raise UsageError(
                "a path is an absolute path of Windows",
                path=where,
                expected="a path below the source",
                got=escape_for_display(path),
                hint=f"make the paths relative to {escape_for_display(self._source)}",
            )
        keys = dict.fromkeys(self._key(other, where) for other in others)
        keys.pop(key, None)
        return tuple(keys)


def _check_length(path: str, where: str) -> None:
    if len(_encode(path)) > _MAX_PATH_BYTES:
        raise UsageError(
            "a path is longer than paths of files can be",
            path=where,
            expected=f"at most {_MAX_PATH_BYTES:,} bytes",
            got=path,
            hint="a quotation mark without a second one makes many lines one path",
        )


def check_url(url: str, where: str, *, allow_url: bool) -> None:
    """Check the URL of an image outside the source.

    Args:
        url: the URL.
        where: the place of the row, for messages.
        allow_url: whether rows may have such URLs.

    Raises:
        UsageError: the URL is not allowed, is not supported, or contains a user name.
    """
    if not allow_url:
        raise UsageError(
            "a row contains a URL outside the source",
            path=where,
            got=f"{url.partition('://')[0]}://",
            hint="pass --allow-url if you trust this list, or the folder of the images at this "
            "URL as the source",
        )
    # A user name or password would be stored in every record.
    if not url.startswith(_URL_PROTOCOLS) or "::" in url or "@" in url.split("/", 3)[2]:
        raise UsageError(
            "a row contains a URL that is not supported",
            path=where,
            expected=", ".join(_URL_PROTOCOLS) + " without user names",
            got=f"{url.partition('://')[0]}://",
        )


def _relative_path(path: str, source: str, where: str) -> str:
    relative = path
    if path.startswith("/") and not is_url(source):
        relative = posixpath.relpath(path, posixpath.abspath(source))
    normal = posixpath.normpath(relative)
    if normal == ".." or normal.startswith(("../", "/")) or normal == ".":
        if (name := _label_studio_path(path)) is not None:
            return _relative_path(name, source, where)
        raise UsageError(
            "a path leads out of the source",
            path=where,
            got=escape_for_display(path),
            hint=f"paths are relative to {escape_for_display(source)}",
        )
    return normal


def _label_studio_path(path: str) -> str | None:
    """Return the relative path of an image in Label Studio; None for any other path."""
    local, uploaded = _LABEL_STUDIO
    if path.startswith(local):
        return unquote(path.removeprefix(local)).lstrip("/")
    return path.rpartition("/")[2] if path.startswith(uploaded) else None


def _encode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
