"""Choice of the split of a file, by rules or by name."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from records.errors import UsageError
from records.format.layout import SPLIT_WORDS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from records.format.layout import SplitName


def parse_split_rules(texts: Iterable[str]) -> dict[str, SplitName]:
    """Parse `SPLIT=PATTERN` texts into splits by pattern. Raises UsageError.

    If a pattern occurs twice, its first split applies.
    """
    rules: dict[str, SplitName] = {}
    for text in texts:
        split, separator, pattern = text.partition("=")
        if not separator or not pattern or split not in SPLITS:
            raise UsageError(
                "--split is not SPLIT=PATTERN",
                expected="train=PATTERN, test=PATTERN or validation=PATTERN",
                got=text,
            )
        rules.setdefault(pattern, SPLIT_WORDS[split])
    return rules


def choose_split(name: str, rules: Mapping[str, SplitName]) -> SplitName:
    """Return the split of a file: by the first rule that matches, or by a word in the path.

    Without a matching rule, the file name is searched for the word first, then the folders from the
    innermost to the outermost.

    Args:
        name: the path of the file below the dataset.
        rules: splits by shell pattern.

    Raises:
        UsageError: no word in the path is the name of a split, the name of the file or of a folder
            contains words for two splits, or a rule has an unknown split.
    """
    parts = name.split("/")
    for pattern, split in rules.items():
        if fnmatchcase(name, pattern) or fnmatchcase(parts[-1], pattern):
            if split not in SPLITS:
                raise UsageError("unknown split", expected="train, test or validation", got=split)
            return split
    for part in reversed(parts):
        words = re.split(r"[^a-z]+", part.lower())
        splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
        if len(splits) == 1:
            return splits.pop()
        if splits:
            break
    raise UsageError(
        "the split of a file cannot be derived from its name",
        path=name,
        expected="a word for exactly one split in the name, such as train, validation or test",
        hint="add --split train=PATTERN, --split validation=PATTERN or --split test=PATTERN",
    )
