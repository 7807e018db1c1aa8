"""Lists of images: CSV with a header, or JSON lines; `path`, `label`, and `split`, `group`."""

from __future__ import annotations

import csv
import io
import posixpath
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from records.errors import NoInputError, UsageError
from records.layout import SPLITS, Split
from records.storage import is_url, open_storage, split_location
from records.text import printable
from records.untrusted import decode_json

_Row = dict[str, str | int | None]

_COLUMNS = ("path", "label", "split", "group")
_URL_PROTOCOLS = ("file://", "memory://", "s3://", "gs://")
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
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = next(rows, [])
        _check_columns(columns, path)
        for row in rows:
            if len(row) > len(columns):
                raise UsageError(
                    "a row has more fields than the header",
                    path=f"{path} line {rows.line_num}",
                    got=printable(",".join(row)),
                    hint="put a path or label with a comma in double quotes",
                )
            if row:
                yield rows.line_num, dict(zip(columns, row, strict=False))
    except csv.Error as error:
        raise UsageError(
            "this is not CSV", path=f"{path} line {rows.line_num}", got=str(error)
        ) from error


def _read_json_lines(content: bytes, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(content.removeprefix(BOM_UTF8).split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = decode_json(line, _Row)
        except msgspec.DecodeError as error:
            raise UsageError(
                "a line is not a JSON object of names and texts",
                path=f"{path} line {number}",
                got=str(error),
            ) from error
        _check_columns(list(row), f"{path} line {number}")
        yield number, {name: "" if value is None else str(value) for name, value in row.items()}


def _check_columns(names: Sequence[str], path: str) -> None:
    known = set(names) <= set(_COLUMNS) and len(set(names)) == len(names)
    if not known or not {"path", "label"} <= set(names):
        raise UsageError(
            "a list has the wrong columns",
            path=path,
            expected="path,label[,split][,group]",
            got=printable(",".join(names)) or "none",
        )


def _listed_image(row: dict[str, str], source: str, where: str, *, allow_url: bool) -> ListedImage:
    path, label = row.get("path", ""), row.get("label", "")
    if not path or "\0" in path:
        raise UsageError("a row has no path, or one with a zero byte", path=where)
    if not _is_utf8(label):
        raise UsageError("a label is not UTF-8", path=where, got=printable(label))
    split = _split(row.get("split", ""), where)
    group = row.get("group") or None
    if "://" in path:
        _check_url(path, where, allow_url=allow_url)
        return ListedImage(_encode(path), path, label, split, group)
    return ListedImage(_encode(_relative_path(path, source, where)), None, label, split, group)


def _split(name: str, where: str) -> Split | None:
    split = SPLIT_NAMES.get(name.lower())
    if name and split is None:
        raise UsageError(
            "a row names a split that is none",
            path=where,
            expected="train, test or validation",
            got=printable(name),
        )
    return split


def _check_url(url: str, where: str, *, allow_url: bool) -> None:
    if not allow_url:
        raise UsageError(
            "a row names a URL",
            path=where,
            got=f"{url.partition('://')[0]}://",
            hint="pass --allow-url if this list may be trusted",
        )
    # A user's name or password would be stored with every record.
    if not url.startswith(_URL_PROTOCOLS) or "::" in url or "@" in url.split("/", 3)[2]:
        raise UsageError(
            "a row names a URL that is not taken",
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
        raise UsageError(
            "a row leads out of the source",
            path=where,
            got=printable(path),
            hint=f"paths are relative to {printable(source)}",
        )
    return normal


def _encode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
