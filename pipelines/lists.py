"""Lists of images: CSV with a header, or JSON lines; `path`, `label`, and `split`, `group`."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from records.errors import NoInputError, UsageError
from records.layout import SPLITS, Split
from records.storage import is_url, open_storage, split_location
from records.text import printable, redact_url

_COLUMNS = ("path", "label", "split", "group")
_URL_PROTOCOLS = ("file", "memory", "s3", "gs")
SPLIT_NAMES: Mapping[str, Split] = {
    **{name: name for name in SPLITS},
    "val": "validation",
    "valid": "validation",
}
"""What people call the splits."""


class ListedImage(msgspec.Struct, frozen=True, gc=False):
    """A row of a list: the key, and where the file is if not below the source."""

    key: bytes
    url: str | None
    label: str
    split: Split | None
    group: str | None


def read_list(path: str, source: str, *, allow_url: bool) -> Iterator[ListedImage]:
    """The rows of a list; paths in it are relative to `source`.

    Raises:
        NoInputError: there is no such file.
        UsageError: a row lacks its path, leads out of the source, names a split that is none, or
            comes twice; the line is named.
    """
    reader = _read_json_lines if path.endswith((".jsonl", ".ndjson")) else _read_csv
    seen: dict[bytes, int] = {}
    for line, row in reader(_content(path), path):
        image = _listed_image(row, source, f"{path} line {line}", allow_url=allow_url)
        first = seen.setdefault(image.key, line)
        if first != line:
            raise UsageError(
                "a file is listed twice",
                path=f"{path} line {line}",
                got=printable(row["path"]),
                hint=f"it stands in line {first} already",
            )
        yield image


def read_text_file(path: str) -> bytes:
    """A small file that an option names. Raises NoInputError where there is none."""
    return _content(path)


def _content(path: str) -> bytes:
    folder, name = split_location(path)
    try:
        return open_storage(folder).read(name)
    except FileNotFoundError as error:
        raise NoInputError("there is no such file", path=path) from error


def _read_csv(content: bytes, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    # Not every path is UTF-8; what is not goes through as it is.
    text = content.decode("utf-8-sig", "surrogateescape")
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    _check_columns(rows.fieldnames or [], path)
    try:
        for row in rows:
            yield rows.line_num, {name: row.get(name) or "" for name in _COLUMNS}
    except csv.Error as error:
        raise UsageError(
            "this is not CSV", path=f"{path} line {rows.line_num}", got=str(error)
        ) from error


def _read_json_lines(content: bytes, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise UsageError(
                "a line is not a JSON object", path=f"{path} line {number}", got=str(error)
            ) from error
        _check_columns(list(row), f"{path} line {number}")
        yield number, {name: "" if row.get(name) is None else str(row[name]) for name in _COLUMNS}


def _check_columns(names: Any, path: str) -> None:
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown or not {"path", "label"} <= set(names):
        raise UsageError(
            "a list has the wrong columns",
            path=path,
            expected="path,label[,split][,group]",
            got=printable(",".join(map(str, names))) or "none",
        )


def _listed_image(row: dict[str, str], source: str, where: str, *, allow_url: bool) -> ListedImage:
    if not row["path"]:
        raise UsageError("a row has no path", path=where)
    split = SPLIT_NAMES.get(row["split"].lower()) if row["split"] else None
    if row["split"] and split is None:
        raise UsageError(
            "a row names a split that is none",
            path=where,
            expected="train, test or validation",
            got=printable(row["split"]),
        )
    url = row["path"] if is_url(row["path"]) else None
    key = (
        _url_key(url, where, allow_url=allow_url) if url else _path_key(row["path"], source, where)
    )
    return ListedImage(key, url, row["label"], split, row["group"] or None)


def _url_key(url: str, where: str, *, allow_url: bool) -> bytes:
    protocol = url.partition("://")[0]
    if not allow_url:
        raise UsageError(
            "a row names a URL",
            path=where,
            got=printable(redact_url(url)),
            hint="pass --allow-url if this list may be trusted",
        )
    if protocol not in _URL_PROTOCOLS or "::" in url:
        raise UsageError(
            "a row names a URL that is not taken",
            path=where,
            expected=", ".join(f"{name}://" for name in _URL_PROTOCOLS),
            got=printable(redact_url(url)),
        )
    return url.encode("utf-8", "surrogateescape")


def _path_key(path: str, source: str, where: str) -> bytes:
    relative = path
    if path.startswith("/") and not is_url(source):
        relative = posixpath.relpath(path, posixpath.abspath(source))
    normal = posixpath.normpath(relative)
    if normal == ".." or normal.startswith(("../", "/")) or normal == ".":
        raise UsageError(
            "a row leads out of the source",
            path=where,
            got=printable(path),
            hint=f"paths are relative to {printable(source)}",
        )
    return normal.encode("utf-8", "surrogateescape")
