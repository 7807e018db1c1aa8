"""Which split a file of others is of: what the user says, else what its name says."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.format.layout import SplitName

_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
}


class SplitRule(NamedTuple):
    """Files whose name, or its last part, fits `pattern` (as in a shell) are of `split`."""

    split: SplitName
    pattern: str


def parse_rule(text: str) -> SplitRule:
    """A rule from `SPLIT=PATTERN`. Raises UsageError."""
    split, separator, pattern = text.partition("=")
    if not separator or not pattern or split not in {"train", "test", "validation"}:
        raise UsageError(
            "--split does not say which files are of which split",
            expected="train=PATTERN, test=PATTERN or validation=PATTERN",
            got=text,
        )
    return SplitRule(_WORDS[split], pattern)


def choose_split(name: str, rules: Sequence[SplitRule]) -> SplitName:
    """The split of a file, by the first rule that fits it, else by a word in its path.

    Words are looked for in the file's own name first, then in its folders, the innermost first.

    Raises:
        UsageError: nothing tells, or the name has words of two splits.
    """
    parts = name.split("/")
    for rule in rules:
        if fnmatchcase(name, rule.pattern) or fnmatchcase(parts[-1], rule.pattern):
            return rule.split
    for part in reversed(parts):
        words = re.split(r"[^a-z]+", part.lower())
        splits = {_WORDS[word] for word in words if word in _WORDS}
        if len(splits) == 1:
            return splits.pop()
        if splits:
            break
    raise UsageError(
        "the name of a file does not tell its split",
        path=name,
        expected="a word such as train, validation or test in it",
        hint="say it with --split train=PATTERN",
    )
