"""Images of an image list, in CSV or JSON lines.

A CSV file has a header. Columns: `path`, `label`, optionally `split` and `group`.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections.abc import Iterator, Sequence

import msgspec

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, SourceImage, Sources, check_file_size
from pipelines.sources.class_layout import assign_labels_from_list, parse_split
from pipelines.sources.group_by import GroupKey
from pipelines.sources.reader import SourceFiles, open_file, open_source, read_text_file
from pipelines.sources.walk import ListedFile
from records.errors import InputNotFoundError, UsageError
from records.format.index import Reject
from records.format.label_map import label_ids
from records.format.layout import SplitName
from records.storage import is_url
from records.strict_json import LoneSurrogateError, decode_json
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text
from records.user_text import decode_text, is_utf8

_COLUMNS = ("path", "label", "split", "group")
_MAX_PATH_BYTES = 4096
_URL_PROTOCOLS = ("file://", "memory://", "s3://", "gs://")

_JsonRow = dict[str, str | int | None]


class ListRow(msgspec.Struct, frozen=True, gc=False):
    """One row of an image list: `url` is the path if the path is a URL; `label` may be empty."""

    key: bytes
    url: str | None
    label: str
    split: SplitName | None
    group: str | None


def list_image_list(options: ConvertOptions, source_filter: SourceFilter) -> Sources:
    """List the images of an image list. Raises the errors of `list_sources`."""
    path = str(options.list)
    rows = list(read_rows(path, options.source, allow_url=options.allow_url))
    if not rows:
        raise InputNotFoundError("the list is empty", path=path)
    if any(row.group for row in rows):
        _refuse_counts(options)
    class_names = assign_labels_from_list((row.label for row in rows if row.label), source=path)
    labels = source_filter.choose_labels(class_names.values(), source=path)
    numbers = label_ids(labels)
    sources = Sources(labels, None)
    group_of = GroupKey(options.group_by)
    files = open_source(options.source, follow_symlinks=options.follow_symlinks)
    for row in rows:
        is_excluded = row.key in source_filter.excluded_keys
        if is_excluded or (row.label and class_names[row.label] not in numbers):
            sources.exclude(by_key=is_excluded)
            continue
        file = _find(row, files, follow_symlinks=options.follow_symlinks)
        if file is None or not row.label:
            sources.rejects.append(_reject(row, file))
            continue
        if rejection := check_file_size(file.size_bytes, options):
            reason, detail = rejection.reason, rejection.detail
            rejected = Reject(key_to_text(row.key), row.label, reason, detail, file.size_bytes)
            sources.rejects.append(rejected)
            continue
        sources.add(
            SourceImage(
                row.key,
                numbers[class_names[row.label]],
                file.size_bytes,
                url=row.url,
                linked=file.linked or None,
                split=row.split,
                group=os.fsencode(row.group) if row.group else group_of(row.key),
                fingerprint=file.fingerprint,
            )
        )
    return sources


def _refuse_counts(options: ConvertOptions) -> None:
    counts = isinstance(options.test, int) or isinstance(options.validation, int)
    if counts or options.stratify:
        raise UsageError(
            "exact counts and --stratify need a list without groups: groups are never divided",
            path=str(options.list),
            hint="use fractions: --test 0.2",
        )


def _find(row: ListRow, files: SourceFiles, *, follow_symlinks: bool) -> ListedFile | None:
    if row.url is None:
        return files.find(row.key, follow_symlinks=follow_symlinks)
    folder, name = open_file(row.url)
    return folder.find(name, follow_symlinks=True)


def _reject(row: ListRow, file: ListedFile | None) -> Reject:
    key = key_to_text(row.key)
    if file is None:
        return Reject(key, row.label or None, "unreadable", "no such file", 0)
    return Reject(key, None, "no-class", "no label in the list", file.size_bytes)


def read_rows(path: str, source: str, *, allow_url: bool) -> Iterator[ListRow]:
    """Yield the rows of a list.

    Args:
        path: path or URL of the list.
        source: the folder that paths in the list are relative to.
        allow_url: whether paths may be URLs.

    Raises:
        InputNotFoundError: the list does not exist.
        UsageError: a row has no path, a path that leads out of the source, an unknown split, or the
            path of an earlier row; the message contains the line number.
    """
    parse = _read_json_lines if path.endswith((".jsonl", ".ndjson")) else _read_csv
    first_lines: dict[bytes, int] = {}
    for line, fields in parse(decode_text(read_text_file(path), path=path), path):
        row = _parse_row(fields, source, f"{path} line {line}", allow_url=allow_url)
        first = first_lines.setdefault(row.key, line)
        if first != line:
            raise UsageError(
                "a file is listed twice",
                path=f"{path} line {line}",
                got=escape_for_display(fields["path"]),
                hint=f"remove one of the lines: line {first} lists the same file",
            )
        yield row


def _read_csv(text: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
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
            "the list is not valid CSV", path=f"{path} line {rows.line_num}", got=str(error)
        ) from error


def _read_json_lines(text: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    content = text.encode("utf-8", "surrogateescape")
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = decode_json(line, _JsonRow)
        except LoneSurrogateError as error:
            raise UsageError(
                "a text in this line is not valid Unicode",
                path=f"{path} line {number}",
                got=str(error),
                hint="write the character as UTF-8, or as both halves of its surrogate pair",
            ) from error
        except msgspec.DecodeError as error:
            raise UsageError(
                "a line is not a JSON object of column names and strings",
                path=f"{path} line {number}",
                got=escape_for_display(str(error)),
            ) from error
        _check_columns(list(row), f"{path} line {number}")
        yield number, {name: "" if value is None else str(value) for name, value in row.items()}


def _check_columns(names: Sequence[str], path: str) -> None:
    known = set(names) <= set(_COLUMNS) and len(set(names)) == len(names)
    if not known or not {"path", "label"} <= set(names):
        raise UsageError(
            "the list has wrong columns",
            path=path,
            expected="path,label[,split][,group]",
            got=escape_for_display(",".join(names)) or "none",
        )


def _parse_row(fields: dict[str, str], source: str, where: str, *, allow_url: bool) -> ListRow:
    path, label = fields.get("path", ""), fields.get("label", "")
    if not path or "\0" in path:
        raise UsageError("a row has no path, or a path with a zero byte", path=where)
    if len(_encode(path)) > _MAX_PATH_BYTES:
        raise UsageError(
            "a path is longer than paths of files can be",
            path=where,
            expected=f"at most {_MAX_PATH_BYTES:,} bytes",
            got=path,
            hint="a quotation mark without a second one makes many lines one path",
        )
    if not is_utf8(label):
        raise UsageError("a label is not valid UTF-8", path=where, got=escape_for_display(label))
    split = _parse_split(fields.get("split", ""), where)
    group = fields.get("group") or None
    if "://" in path:
        _check_url(path, where, allow_url=allow_url)
        return ListRow(_encode(path), path, label, split, group)
    return ListRow(_encode(_relative_path(path, source, where)), None, label, split, group)


def _parse_split(name: str, where: str) -> SplitName | None:
    split = parse_split(name)
    if name and split is None:
        raise UsageError(
            "a row has an unknown split",
            path=where,
            expected="train, test or validation",
            got=escape_for_display(name),
        )
    return split


def _check_url(url: str, where: str, *, allow_url: bool) -> None:
    if not allow_url:
        raise UsageError(
            "a row contains a URL",
            path=where,
            got=f"{url.partition('://')[0]}://",
            hint="pass --allow-url if you trust this list",
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
        raise UsageError(
            "a path leads out of the source",
            path=where,
            got=escape_for_display(path),
            hint=f"paths are relative to {escape_for_display(source)}",
        )
    return normal


def _encode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
