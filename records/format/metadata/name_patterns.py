"""Glob patterns that match numbered files, and no other files.

    glob_patterns(["train-00000-of-00003.parquet", "train-00002-of-00003.parquet"])
    # ["train-0000[02]-of-00003.parquet"]

The number of patterns depends on the number of gaps, not on the number of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_NUMBERED = re.compile(r"(.*?)([0-9]{5,})-of-([0-9]{5,})(.*)")
_LEAST_DIGITS = 5
_DIGITS = "0123456789"


def glob_patterns(names: Iterable[str]) -> list[str]:
    """Return sorted glob patterns for files with names such as `train-00000-of-00008.tfrecord`.

    If the folder has only files that are numbered below their count, the patterns match exactly
    these files. The pattern of any other name is the name. Names have no wildcards.
    """
    patterns = set()
    groups: dict[tuple[str, str, int, int], list[str]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            patterns.add(name)
        else:
            head, number, of, tail = match.groups()
            groups.setdefault((head, f"-of-{of}{tail}", int(of), len(number)), []).append(number)
    for (head, tail, count, _), numbers in groups.items():
        patterns |= {f"{head}{pattern}{tail}" for pattern in _cover("", numbers, count)}
    return sorted(patterns)


def _cover(prefix: str, numbers: Sequence[str], count: int) -> Iterator[str]:
    """Yield patterns for these numbers below `count`, of one length and with one prefix.

    A prefix that all of its numbers begin with needs one pattern.
    """
    if _is_complete(prefix, numbers, count):
        yield prefix + "?" * (len(numbers[0]) - len(prefix))
        return
    complete = []
    for digit in _DIGITS:
        longer = prefix + digit
        below = [number for number in numbers if number.startswith(longer)]
        if below and _is_complete(longer, below, count):
            complete.append(digit)
        elif below:
            yield from _cover(longer, below, count)
    if complete:
        digits = complete[0] if len(complete) == 1 else f"[{''.join(complete)}]"
        yield prefix + digits + "?" * (len(numbers[0]) - len(prefix) - 1)


def _is_complete(prefix: str, numbers: Sequence[str], count: int) -> bool:
    """Return whether these are all numbers below `count` with this prefix and length."""
    length = len(numbers[0])
    size = 10 ** (length - len(prefix))
    first = int(prefix or "0") * size
    # Longer numbers have no leading zeros.
    least = 0 if length == _LEAST_DIGITS else 10 ** (length - 1)
    return length == len(prefix) or len(numbers) == min(first + size, count) - max(first, least)
