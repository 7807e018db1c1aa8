"""Names of classes whose folders were renamed or merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from random import Random
from typing import NamedTuple

from tests.days.model import State
from tests.days.source import Source


class Names(NamedTuple):
    """The names that a run gives to classes.

    Attributes:
        of_source: the name in the dataset of each class of the source, which has a number.
        renames: the new names of classes of the dataset that have an effect.
        options: the options `--map` and `--rename-class`.
    """

    of_source: Mapping[int, str]
    renames: Mapping[str, str]
    options: list[str]


def keep_names(source: Source, state: State) -> Names:
    """Return the names that classes have in a dataset; a new class has the name of its folder."""
    names = {number: state.names.get(number, folder) for number, folder in source.folders.items()}
    return Names(names, {}, source.map_options(names))


def choose_names(source: Source, state: State, labels: Collection[str], chance: Random) -> Names:
    """Return names with which some renamed folders rename their class, and some merges merge them.

    Args:
        source: the source.
        state: the state of the dataset.
        labels: all classes of the dataset.
        chance: the source of chance.
    """
    kept = keep_names(source, state)
    present = kept.of_source
    other = {
        number: folder
        for number, folder in source.folders.items()
        if present[number] != folder and present[number] in labels
    }
    chosen = {number: folder for number, folder in other.items() if chance.random() < 0.4}
    if len({*{**present, **chosen}.values()}) < len({*present.values()}):
        chosen = other  # of two folders that exchanged their names, both or none
    names = {**present, **chosen}
    pairs = {present[number]: folder for number, folder in chosen.items()}
    for old in source.merged:
        name, new = state.names.get(old), names[source.find_merged(old)]
        if name in labels and name not in pairs and name != new and chance.random() < 0.4:
            pairs[str(name)] = new
    if {*names.values()} & (pairs.keys() - {*pairs.values()}):
        return kept  # the source still contains such a class
    given, renames = _find_effective(pairs, state, labels)
    options = [word for old, new in given.items() for word in ("--rename-class", f"{old}={new}")]
    return Names(names, renames, source.map_options(names) + options)


def _find_effective(
    pairs: Mapping[str, str], state: State, labels: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the renames to give, and those of them that have an effect.

    - A class without records is not merged, unless another class gets its name. Its rename is not
      given if a third class gets the new name, too.
    - If a class got the old name of another class, the same renames are not applied again.

    Args:
        pairs: the new names of classes of a dataset.
        state: the state of the dataset.
        labels: all its classes, also those without records.
    """
    counts, classes = Counter(pairs.values()), state.classes
    given = {old: new for old, new in pairs.items() if old in classes or counts[new] == 1}
    applied = {old for old in given if _is_applied(old, given, state)}
    tried = {old: new for old, new in given.items() if old not in applied}
    effective = {
        old: new
        for old, new in tried.items()
        if old in classes or new not in labels or new in tried or old in tried.values()
    }
    return given, effective


def _is_applied(old: str, given: Mapping[str, str], state: State) -> bool:
    """Return whether a class got its name `old` from renames that are given again."""
    with_name = (renames for renames in reversed(state.renames) if old in renames.values())
    same = next(with_name, {}).items() & given.items()
    return old in {name for name, _ in same} and old in {new for _, new in same}
