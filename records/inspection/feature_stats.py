"""Statistics of the values of a feature over many records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from records.images.header import recognize_image
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from records.format.example import FeatureValue

_EXAMPLES = 3
_SHOWN_CHARACTERS = 24


class Range(msgspec.Struct, frozen=True):
    """A minimum and a maximum."""

    min: float
    max: float


class FeatureStats(msgspec.Struct, frozen=True):
    """Statistics of one feature.

    Attributes:
        name: the name of the feature; `[]` is appended for a feature list of a SequenceExample.
        kind: the type of the values: `bytes`, `int64`, `float`, `mixed`, or `empty` if no record
            has a value.
        records: the number of records with the feature, among the records that were read.
        values: the range of the number of values per record; for a feature list, of the number of
            steps.
        size_bytes: the range of the sizes of bytes values; None without bytes values.
        range: the range of int64 and float values; None without such values.
        images: the number of values that are images, by format.
        width_px: the range of the widths of the images; None without images.
        height_px: the range of the heights of the images; None without images.
        examples: the first distinct values, as text.
    """

    name: str
    kind: str
    records: int
    values: Range
    size_bytes: Range | None
    range: Range | None
    images: dict[str, int]
    width_px: Range | None
    height_px: Range | None
    examples: tuple[str, ...]


@dataclass
class FeatureAccumulator:
    """Accumulator of the statistics of one feature."""

    name: str
    records: int = 0
    kinds: set[str] = field(default_factory=set)
    images: dict[str, int] = field(default_factory=dict)
    examples: dict[str, None] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, values: FeatureValue, *, count: int | None = None) -> None:
        """Add the values of one record; `count` is the number of steps in a feature list."""
        self.records += 1
        self._widen("values", len(values) if count is None else count)
        for value in values:
            if isinstance(value, bytes):
                self._add_bytes(value)
            else:
                self.kinds.add("int64" if isinstance(value, int) else "float")
                self._widen("range", value)
                self._add_example(f"{value:.6g}" if isinstance(value, float) else str(value))

    def _add_bytes(self, value: bytes) -> None:
        self.kinds.add("bytes")
        self._widen("size_bytes", len(value))
        image = recognize_image(value)
        if image is None:
            self._add_example(format_value(value))
            return
        kind, width, height = image
        self.images[kind] = self.images.get(kind, 0) + 1
        self._widen("width_px", width)
        self._widen("height_px", height)

    def _add_example(self, text: str) -> None:
        if len(self.examples) < _EXAMPLES:
            self.examples[text] = None

    def _widen(self, what: str, value: float) -> None:
        low, high = self.ranges.get(what, (value, value))
        self.ranges[what] = (min(low, value), max(high, value))

    def stats(self) -> FeatureStats:
        """Return the statistics of the records added so far."""
        kind = next(iter(self.kinds), "empty") if len(self.kinds) < 2 else "mixed"
        ranges = {what: Range(*ends) for what, ends in self.ranges.items()}
        return FeatureStats(
            name=self.name,
            kind=kind,
            records=self.records,
            values=ranges["values"],
            size_bytes=ranges.get("size_bytes"),
            range=ranges.get("range"),
            images=self.images,
            width_px=ranges.get("width_px"),
            height_px=ranges.get("height_px"),
            examples=tuple(self.examples),
        )


def format_value(value: bytes) -> str:
    """Return a bytes value as text, quoted if UTF-8, otherwise in hex; long text is truncated."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + _cut(value[:_SHOWN_CHARACTERS].hex())
    return f'"{_cut(escape_for_display(text[: _SHOWN_CHARACTERS * 2]))}"'


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
