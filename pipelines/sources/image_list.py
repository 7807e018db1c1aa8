"""Sources from a list: a row says which file has which label.

Lists of images: CSV with a header, or JSON lines; `path`, `label`, and `split`, `group`.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence

import msgspec

from pipelines.options import ConvertOptions
from pipelines.sources.base import GroupKey, SourceFilter, SourceImage, Sources
from pipelines.sources.class_layout import SPLIT_NAMES, assign_labels_from_list, label_ids
from pipelines.sources.reader import SourceFiles, open_file, open_source, read_text_file
from pipelines.sources.walk import ListedFile
from records.errors import InputNotFoundError, UsageError
from records.format.index import Reject
from records.format.layout import SplitName
from records.storage import is_url
from records.strict_json import decode_json
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text


def find_in_list(options: ConvertOptions, choice: SourceFilter) -> Sources:
    """Read the list and look for its files. Raises as `list_sources`."""
    path = str(options.list)
    rows = list(read_list(path, options.source, allow_url=options.allow_url))
    if not rows:
        raise InputNotFoundError("the list is empty", path=path)
    if any(row.group for row in rows):
        _refuse_counts(options)
    names = assign_labels_from_list((row.label for row in rows if row.label), source=path)
    labels = choice.labels(names.values(), source=path)
    numbers = label_ids(labels)
    sources = Sources(labels, None)
    group_of = GroupKey(options.group_by)
    files = open_source(options.source)
    for row in rows:
        if row.key in choice.excluded or (row.label and names[row.label] not in numbers):
            sources.exclude(by_key=row.key in choice.excluded)
            continue
        file = _find(row, files, follow_symlinks=options.follow_symlinks)
        if file is None or not row.label:
            sources.rejects.append(_reject(row, file))
            continue
        group = os.fsencode(row.group) if row.group else group_of(row.key)
        label = numbers[names[row.label]]
        sources.add(
            SourceImage(row.key, label, file.size_bytes, file.stamp, row.split, group, row.url)
        )
    return sources


def _refuse_counts(options: ConvertOptions) -> None:
    counts = isinstance(options.test, int) or isinstance(options.validation, int)
    if counts or options.stratify:
        raise UsageError(
            "a list with groups cannot go with exact counts or --stratify: groups stay whole",
            path=str(options.list),
            hint="use fractions: --test 0.2",
        )


def _find(row: ListedImage, files: SourceFiles, *, follow_symlinks: bool) -> ListedFile | None:
    if row.url is None:
        return files.find(row.key, follow_symlinks=follow_symlinks)
    folder, name = open_file(row.url)
    return folder.find(name, follow_symlinks=True)


def _reject(row: ListedImage, file: ListedFile | None) -> Reject:
    key = key_to_text(row.key)
    if file is None:
        return Reject(key, row.label or None, "unreadable", "no such file", 0)
    return Reject(key, None, "no-class", "no label in the list", file.size_bytes)


_Row = dict[str, str | int | None]

_COLUMNS = ("path", "label", "split", "group")
_URL_PROTOCOLS = ("file://", "memory://", "s3://", "gs://")


class ListedImage(msgspec.Struct, frozen=True, gc=False):
    """A row of a list: the key, and where the file is if not below the source."""

    key: bytes
    url: str | None
    label: str
    split: SplitName | None
    group: str | None


def read_list(path: str, source: str, *, allow_url: bool) -> Iterator[ListedImage]:
    """The rows of a list; paths in it are relative to `source`.

    Raises:
        InputNotFoundError: there is no such file.
        UsageError: a row lacks its path, leads out of the source, names a split that is none, or
            comes twice; the line is named.
    """
    reader = _read_json_lines if path.endswith((".jsonl", ".ndjson")) else _read_csv
    seen: dict[bytes, int] = {}
    for line, row in reader(read_text_file(path), path):
        image = _listed_image(row, source, f"{path} line {line}", allow_url=allow_url)
        first = seen.setdefault(image.key, line)
        if first != line:
            raise UsageError(
                "a file is listed twice",
                path=f"{path} line {line}",
                got=escape_for_display(row["path"]),
                hint=f"it stands in line {first} already",
            )
        yield image


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
                    got=escape_for_display(",".join(row)),
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
            got=escape_for_display(",".join(names)) or "none",
        )


def _listed_image(row: dict[str, str], source: str, where: str, *, allow_url: bool) -> ListedImage:
    path, label = row.get("path", ""), row.get("label", "")
    if not path or "\0" in path:
        raise UsageError("a row has no path, or one with a zero byte", path=where)
    if not _is_utf8(label):
        raise UsageError("a label is not UTF-8", path=where, got=escape_for_display(label))
    split = _split(row.get("split", ""), where)
    group = row.get("group") or None
    if "://" in path:
        _check_url(path, where, allow_url=allow_url)
        return ListedImage(_encode(path), path, label, split, group)
    return ListedImage(_encode(_relative_path(path, source, where)), None, label, split, group)


def _split(name: str, where: str) -> SplitName | None:
    split = SPLIT_NAMES.get(name.lower())
    if name and split is None:
        raise UsageError(
            "a row names a split that is none",
            path=where,
            expected="train, test or validation",
            got=escape_for_display(name),
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
            got=escape_for_display(path),
            hint=f"paths are relative to {escape_for_display(source)}",
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
