"""Labels of a list that are numbers of classes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from records.format.label_map import LabelMap

_NUMBER = re.compile(r"([0-9]{1,9})(\.0+)?")


def name_numbers(texts: Iterable[str], given: LabelMap | None) -> dict[str, str]:
    """Return the class name of each label of a list.

    If all labels are numbers of the classes in `--labels`, and none is the name of a class, they
    are replaced by the names.

    Args:
        texts: the labels of the list.
        given: the label map of `--labels`.
    """
    names = {text: text for text in texts}
    if given is None or not given or names.keys() & set(given):
        return names
    numbers = {text: _NUMBER.fullmatch(text) for text in names}
    found = {text: int(match[1]) for text, match in numbers.items() if match is not None}
    if len(found) < len(names) or max(found.values(), default=0) >= len(given):
        return names
    return {text: given[number] for text, number in found.items()}
