"""New names of classes: `--map`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from pipelines.sources.reader import read_text_file
from records.errors import UsageError
from records.strict_json import decode_json
from records.text.delimited import find_dialect, read_delimited
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.names import normalize_name
from records.user_text import decode_strict_text

_DELIMITERS = "=,;\t|"
_HEADERS = {("old", "new"), ("from", "to")}

GivenMap = Mapping[str, str | None] | tuple[str, ...] | str


class ClassMap(NamedTuple):
    """New class names by old ones; None drops a class.

    Attributes:
        renamed: the new names, in Unicode NFC.
        named: old names that the user gave one by one: each must be in the source.
    """

    renamed: Mapping[str, str | None]
    named: frozenset[str]

    def apply(self, names: Iterable[str], *, source: str) -> dict[str, str | None]:
        """Return the new name of each class, None for a class to drop.

        Raises:
            UsageError: the source lacks a class that the user named.
        """
        found = set(names)
        if absent := sorted(self.named - found):
            raise UsageError(
                "--map names a class that the source does not have",
                path=source,
                expected=", ".join(map(escape_for_display, sorted(found)[:10])) or "none",
                got=", ".join(map(escape_for_display, absent[:10])),
            )
        return {name: self.renamed.get(name, name) for name in found}

    def notes(self, names: Iterable[str]) -> list[str]:
        """Return a note on the classes of a file of `--map` that the source does not have."""
        absent = self.renamed.keys() - set(names)
        if not absent:
            return []
        shown = ", ".join(map(escape_for_display, sorted(absent)[:3]))
        more = ", …" * (len(absent) > 3)
        return [
            f"--map has {pluralize(len(absent), 'class')} not found in the source: {shown}{more}"
        ]


def read_class_map(given: GivenMap | None) -> ClassMap:
    """Read the values of `--map`: pairs `OLD=NEW`, or files; in Python also a mapping.

    Raises:
        InputNotFoundError: a file does not exist.
        UsageError: a file or a pair is invalid, or a class has two new names.
    """
    if given is None:
        return ClassMap({}, frozenset())
    if isinstance(given, Mapping):
        pairs = [(normalize_name(old), new) for old, new in given.items()]
        return ClassMap(_combine(pairs), frozenset(old for old, _ in pairs))
    found: list[tuple[str, str | None]] = []
    named = set()
    for text in (given,) if isinstance(given, str) else given:
        old, separator, new = text.partition("=")
        if separator:
            found.append((old.strip(), new))
            named.add(normalize_name(old.strip()))
        else:
            found += _read_file(text)
    return ClassMap(_combine(found), frozenset(named))


def _combine(pairs: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
    renamed: dict[str, str | None] = {}
    for old, new in pairs:
        name = normalize_name(old)
        target = normalize_name(new.strip()) if new and new.strip() else None
        if renamed.setdefault(name, target) != target:
            targets = [escape_for_display(it or "no class") for it in (renamed[name], target)]
            raise UsageError(
                f"the class {escape_for_display(name)} has two new names",
                path="--map",
                got=" and ".join(targets),
            )
    return renamed


def _read_file(path: str) -> list[tuple[str, str | None]]:
    text = decode_strict_text(read_text_file(path), path=path)
    if text.lstrip().startswith("{"):
        try:
            return list(decode_json(text.encode(), dict[str, str | None]).items())
        except msgspec.DecodeError as error:
            raise UsageError(
                "a file of --map in JSON must be an object of old and new names",
                path=path,
                got=escape_for_display(str(error)),
            ) from error
    pairs: list[tuple[str, str | None]] = []
    number = 0
    try:
        for number, row in read_delimited(text, find_dialect(text, _DELIMITERS)):
            cells = [cell.strip() for cell in row]
            if len(cells) != 2:
                raise UsageError(
                    "a line of --map is not an old and a new name",
                    path=f"{path} line {number}",
                    expected="OLD=NEW, or OLD,NEW; OLD= drops the class",
                    got=escape_for_display(", ".join(cells)),
                )
            pairs.append((cells[0], cells[1]))
    except csv.Error as error:
        raise UsageError(
            "a file of --map is not valid CSV", path=f"{path} line {number + 1}", got=str(error)
        ) from error
    is_header = bool(pairs) and (pairs[0][0].lower(), str(pairs[0][1]).lower()) in _HEADERS
    return pairs[is_header:]
