"""Figures that a program measures once for each of several seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SEPARATOR = ", seed "


def name_figures(figures: Mapping[str, float], seed: int) -> dict[str, float]:
    """Return the figures of one seed, with the seed in their names."""
    return {f"{name}{_SEPARATOR}{seed}": value for name, value in figures.items()}


def values_of(figures: Mapping[str, float], name: str) -> list[float]:
    """Return the values of a figure of all seeds, in their order."""
    return [value for key, value in figures.items() if key.rpartition(_SEPARATOR)[0] == name]


def mean_of(values: Iterable[float]) -> float:
    """Return the mean over all seeds."""
    listed = list(values)
    return sum(listed) / len(listed)
