"""The label map: class names, numbered from 0.

shardmill writes a label map as `labels.txt`, one line `NUMBER:NAME` per class. It reads this
format, plain lines (one name per line), the `.pbtxt` format of TensorFlow object detection, and
JSON (a list of names, or an object that maps names to numbers or numbers to names).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

from records.errors import UsageError
from records.text.escaping import escape_for_display

LabelMap = tuple[str, ...]
"""Class names; the index of a name is its label."""

_NUMBERED = re.compile(r"(\d{1,18}):(.*)")
# Control characters, and lone surrogates, which JSON can express and UTF-8 cannot.
_FORBIDDEN = {"Cc", "Cs"}
_PBTXT_ITEM = re.compile(r"item\s*\{([^}]*)\}")
_PBTXT_ID = re.compile(r"\bid\s*:\s*(\d{1,18})")
_PBTXT_NAME = re.compile(r"\bname\s*:\s*(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')")


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
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("the label file is not valid UTF-8", path=path, got=str(error)) from error
    if path.endswith(".pbtxt"):
        numbered = _parse_pbtxt(text, path)
    elif path.endswith(".json"):
        numbered = _parse_json(text, path)
    else:
        numbered = _parse_lines(text)
    return _to_label_map(numbered, path)


def _parse_lines(text: str) -> list[tuple[int, str]]:
    # splitlines would also split at characters that a name may contain.
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    matches = [_NUMBERED.fullmatch(line) for line in lines]
    if lines and all(matches):
        return [(int(match[1]), match[2]) for match in matches if match]
    return list(enumerate(line.strip() for line in lines))


def _parse_pbtxt(text: str, path: str) -> list[tuple[int, str]]:
    found = []
    for item in _PBTXT_ITEM.findall(text):
        number, name = _PBTXT_ID.search(item), _PBTXT_NAME.search(item)
        if number is None or name is None:
            raise UsageError(
                "an item of the label map has no id or no name",
                path=path,
                got=escape_for_display(" ".join(item.split())),
            )
        found.append((int(number[1]), re.sub(r"\\(.)", r"\1", name[1][1:-1])))
    # Object detection reserves 0 for the background and numbers classes from 1.
    first = min((number for number, _ in found), default=0)
    return [(number - first, name) for number, name in found] if first == 1 else found


def _parse_json(text: str, path: str) -> list[tuple[int, str]]:
    try:
        value = json.loads(text)
        if isinstance(value, list):
            return list(enumerate(map(str, value)))
        if all(isinstance(number, int) for number in value.values()):
            return [(number, name) for name, number in value.items()]
        return [(int(number), str(name)) for number, name in value.items()]
    except (ValueError, AttributeError, RecursionError) as error:
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
    labels = tuple(unicodedata.normalize("NFC", name) for _, name in ordered)
    check_labels(labels, path=path)
    return labels


def check_labels(labels: LabelMap, *, path: str) -> None:
    """Check that class names are valid and distinct.

    Raises:
        UsageError: there are no names, or a name is empty, duplicate, or has control characters.
    """
    if not labels:
        raise UsageError("there are no classes", path=path)
    for name in labels:
        if not name.strip() or any(unicodedata.category(char) in _FORBIDDEN for char in name):
            raise UsageError(
                "a class name is empty or has control characters",
                path=path,
                got=repr(name),
                hint="rename the class",
            )
    if len(set(labels)) < len(labels):
        twice = next(name for name in labels if labels.count(name) > 1)
        raise UsageError(
            "duplicate class name", path=path, got=repr(twice), hint="rename one of the classes"
        )
