"""The label map: class names, numbered from 0.

shardmill writes a label map as `labels.txt`, one line `NUMBER:NAME` per class. It reads this
format, plain lines (one name per line), the `.pbtxt` format of TensorFlow object detection, and
JSON (a list of names, or an object that maps names to numbers or numbers to names).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from records.errors import UsageError
from records.strict_json import LoneSurrogateError, decode_json
from records.text.escaping import escape_for_display
from records.text.names import normalize_name
from records.user_text import decode_strict_text

LabelMap = tuple[str, ...]
"""Class names; the index of a name is its label."""

_NUMBERED = re.compile(r"(\d{1,18}):(.*)")
# Control characters, and lone surrogates, which JSON can express and UTF-8 cannot.
_FORBIDDEN = {"Cc", "Cs"}
# One part of the text format of protocol buffers: a comment, a string, a word, or one character.
# Each alternative consumes what it has looked at, so that a file is read once. The second string is
# one without an end.
_PBTXT_PART = re.compile(
    r"""#[^\n]*|"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'|["'][^\n]*|[\w.+-]+|[^\s]"""
)
_PBTXT_ESCAPE = re.compile(r"\\([0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|.)", re.DOTALL)
_ESCAPED = {"n": b"\n", "t": b"\t", "r": b"\r"}


def format_labels(labels: LabelMap) -> bytes:
    """Return the content of `labels.txt`."""
    return "".join(f"{number}:{name}\n" for number, name in enumerate(labels)).encode()


def parse_labels(content: bytes, *, path: str) -> LabelMap:
    """Parse a label map in any supported format.

    Args:
        content: the content of the file.
        path: the path of the file, for messages; its extension selects `.pbtxt` or `.json`.

    Raises:
        UsageError: the format is invalid, the numbers have gaps, or a name is invalid or missing.
    """
    text = decode_strict_text(content, path=path)
    if path.endswith(".pbtxt"):
        numbered = _parse_pbtxt(text, path)
    elif path.endswith(".json"):
        numbered = _parse_json(text, path)
    else:
        numbered = _parse_lines(text)
    return _to_label_map(numbered, path)


def label_ids(labels: LabelMap) -> Mapping[str, int]:
    """Return label numbers by class name."""
    return {name: number for number, name in enumerate(labels)}


def _parse_lines(text: str) -> list[tuple[int, str]]:
    # splitlines would also split at characters that a name may contain.
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    matches = [_NUMBERED.fullmatch(line) for line in lines]
    if lines and all(matches):
        return [(int(match[1]), match[2]) for match in matches if match]
    return list(enumerate(line.strip() for line in lines))


def _parse_pbtxt(text: str, path: str) -> list[tuple[int, str]]:
    found = []
    for fields in _pbtxt_items(text):
        number, name = fields.get("id", ""), fields.get("name", "")
        is_quoted = name[:1] in {'"', "'"} and name[-1] == name[0] and len(name) > 1
        if not re.fullmatch(r"[0-9]{1,18}", number) or not is_quoted:
            raise UsageError(
                "an item of the label map has no id or no name",
                path=path,
                got=", ".join(f"{key}: {value}" for key, value in fields.items()) or "neither",
            )
        found.append((int(number), _unquote(name, path)))
    # Object detection reserves 0 for the background and numbers classes from 1.
    first = min((number for number, _ in found), default=0)
    return [(number - first, name) for number, name in found] if first == 1 else found


def _pbtxt_items(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields `id` and `name` of each `item` at the top."""
    item: dict[str, str] | None = None
    depth, before = 0, ""
    for part in _pbtxt_parts(text):
        if part in {"{", "<"}:
            depth += 1
            if depth == 1 and before == "item":
                item = {}
        elif part in {"}", ">"}:
            depth = max(0, depth - 1)
            if depth == 0 and item is not None:
                yield item
                item = None
        elif depth == 1 and item is not None and before in {"id", "name"}:
            item.setdefault(before, part)
        before = part
    if item is not None:
        yield {}  # an item without an end


def _pbtxt_parts(text: str) -> Iterator[str]:
    """Yield words, strings with their quotes, and braces; neither comments nor colons."""
    found = (match[0] for match in _PBTXT_PART.finditer(text))
    return (part for part in found if part != ":" and not part.startswith("#"))


def _unquote(quoted: str, path: str) -> str:
    """Return the value of a quoted string; escapes are bytes of UTF-8. Raises UsageError."""

    def replace(match: re.Match[str]) -> str:
        escape = match[1]
        if escape[0] in "01234567":
            value = bytes([int(escape, 8) & 0xFF])
        elif escape[0] in "xX" and len(escape) > 1:
            value = bytes([int(escape[1:], 16)])
        else:
            value = _ESCAPED.get(escape, escape.encode())
        return value.decode("utf-8", "surrogateescape")

    plain = _PBTXT_ESCAPE.sub(replace, quoted[1:-1])
    try:
        return plain.encode("utf-8", "surrogateescape").decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            "a class name is not valid UTF-8", path=path, got=f"name: {quoted}"
        ) from error


def _parse_json(text: str, path: str) -> list[tuple[int, str]]:
    try:
        value: Any = decode_json(text.encode(), cast("type[Any]", list[str] | dict[str, int | str]))
        if isinstance(value, list):
            return list(enumerate(value))
        if all(isinstance(number, int) for number in value.values()):
            return [(int(number), name) for name, number in value.items()]
        return [(int(number), str(name)) for number, name in value.items()]
    except LoneSurrogateError as error:
        raise UsageError(
            "a class name is not valid Unicode",
            path=path,
            got=str(error),
            hint="write the character as UTF-8, or as both halves of its surrogate pair",
        ) from error
    except (ValueError, msgspec.DecodeError) as error:
        raise UsageError(
            "a label file in JSON must be a list of names, or an object that maps names to numbers "
            "or numbers to names",
            path=path,
            got=str(error),
        ) from error


def _to_label_map(numbered: Iterable[tuple[int, str]], path: str) -> LabelMap:
    ordered = sorted(numbered)
    if [number for number, _ in ordered] != list(range(len(ordered))):
        raise UsageError(
            "labels must be numbered from 0 without gaps",
            path=path,
            expected=f"0 to {len(ordered) - 1}",
            got=", ".join(str(number) for number, _ in ordered[:10]),
        )
    labels = tuple(normalize_name(name) for _, name in ordered)
    check_labels(labels, path=path)
    return labels


def is_valid_name(name: str) -> bool:
    """Return whether a class name is neither empty nor has control characters."""
    return bool(name.strip()) and not any(unicodedata.category(it) in _FORBIDDEN for it in name)


def check_labels(labels: LabelMap, *, path: str) -> None:
    """Check that class names are valid and distinct.

    Raises:
        UsageError: there are no names, or a name is empty, duplicate, or has control characters.
    """
    if not labels:
        raise UsageError("there are no classes", path=path)
    for name in labels:
        if not is_valid_name(name):
            raise UsageError(
                "a class name is empty or has control characters",
                path=path,
                got=repr(name),
                hint="rename the class",
            )
    twice, count = Counter(labels).most_common(1)[0]
    if count > 1:
        raise UsageError(
            "duplicate class name", path=path, got=repr(twice), hint="rename one of the classes"
        )


def describe_alike(labels: LabelMap) -> Iterator[str]:
    """Yield a note for each group of class names that differ only by case or blanks."""
    alike = defaultdict(list)
    for name in labels:
        alike[" ".join(name.casefold().split())].append(name)
    for names in alike.values():
        if len(names) > 1:
            shown = ", ".join(f'"{escape_for_display(name)}"' for name in names)
            yield f"these classes differ only by case or blanks: {shown}"
