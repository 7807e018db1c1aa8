"""Files that are to be adopted, by their names below the folder that becomes a dataset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import UsageError
from records.layout import ADOPTED_PATTERN, index_name
from records.storage import is_url

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(ADOPTED_PATTERN)


def locate_files(files: Sequence[str], target: str) -> tuple[str, ...]:
    """The names of files relative to `target`, in the order of their numbers.

    Raises:
        UsageError: one lies elsewhere, comes twice, or has a name that a manifest cannot hold.
    """
    names = sorted({_locate(file, target) for file in files}, key=_in_order)
    if len(names) < len(files):
        raise UsageError("a file is named twice", path=target)
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(index_name(name), name)
        if other != name:
            raise UsageError(
                "the indexes of two files would have the same name",
                path=target,
                got=f"{other} and {name}",
                hint="rename one of them",
            )
    return tuple(names)


def _locate(file: str, target: str) -> str:
    name = _below(file, target)
    if name is None:
        raise UsageError(
            "a file does not lie in the folder that is to be a dataset",
            path=file,
            expected=f"a file below {target}",
            hint="files stay where they are: TARGET is their folder, or move or link them into it",
        )
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            "a manifest cannot hold the name of this file",
            path=name,
            expected="letters, digits and _ . @ = + , ( ) - in it, and no dot in front",
            hint="rename it",
        )
    return name


def _below(file: str, target: str) -> str | None:
    if is_url(target) or is_url(file):
        prefix = target.rstrip("/") + "/"
        return file.removeprefix(prefix) if file.startswith(prefix) else None
    # A link lies where it lies, wherever it leads.
    path = Path(file).parent.resolve() / Path(file).name
    folder = Path(target).resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


def _in_order(name: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by their value."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
