"""Report of recovered and lost records."""

from __future__ import annotations

import msgspec

from records.integrity.findings import Finding
from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes, pluralize

_MAX_KEYS = 10
_MAX_REPR_LINES = 20


class LostRange(msgspec.Struct, frozen=True, omit_defaults=True):
    """Consecutive bytes of a file that belong to no intact record.

    Attributes:
        offset: the offset of the first byte; for a compressed file, in the decompressed content.
        bytes: the number of bytes; 0 if records are missing without any bytes in their place.
        keys: the keys of the lost records as text; empty without an index.
        compressed_bytes: the number of bytes of a compressed file that cannot be decompressed here,
            in addition to `bytes`; 0 if the file ends early, absent without such damage.
    """

    offset: int
    bytes: int
    keys: tuple[str, ...]
    compressed_bytes: int | None = None

    def __str__(self) -> str:
        text = f"lost  {pluralize(self.bytes, 'byte')} from offset {self.offset}"
        if self.compressed_bytes:
            text += f", and {pluralize(self.compressed_bytes, 'byte')} that cannot be decompressed"
        elif self.compressed_bytes is not None:
            text += ", and the data after the end of the file"
        if self.keys:
            shown = ", ".join(map(escape_for_display, self.keys[:_MAX_KEYS]))
            more = len(self.keys) - _MAX_KEYS
            text += f": {shown}" + (f" and {more:,} more" if more > 0 else "")
        return text


class SalvageReport(msgspec.Struct, frozen=True, rename={"file": "shard", "output": "out"}):
    """The output of `salvage --json`.

    Attributes:
        file: the path of the damaged file.
        output: the path of the new file; None after a dry run.
        index: the path of the index, relative to the folder of the file; None without an index.
        records: the number of intact records, all of which `output` contains.
        bytes: the size of the intact records with their frames: the size of `output`.
        lost_records: the number of lost records according to the index; None without an index.
        lost: the lost ranges, sorted by offset.
        findings: the damage, as `verify` reports it.
    """

    file: str
    output: str | None
    index: str | None
    records: int
    bytes: int
    lost_records: int | None
    lost: tuple[LostRange, ...]
    findings: tuple[Finding, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the file is intact, and contains no records although it should."""
        return any(finding.kind == "empty" for finding in self.findings)

    def lines(self) -> list[str]:
        """Return one line per finding and per lost range, and the totals last."""
        return [*map(str, self.findings), *map(str, self.lost), self._totals()]

    def __repr__(self) -> str:
        lines = self.lines()
        if len(lines) > _MAX_REPR_LINES:
            more = f"… {pluralize(len(lines) - _MAX_REPR_LINES, 'more line')}"
            lines = [*lines[: _MAX_REPR_LINES - 1], more, lines[-1]]
        return "\n".join(lines)

    def _totals(self) -> str:
        intact = f"{pluralize(self.records, 'intact record')}, {format_bytes(self.bytes)}"
        if self.is_empty:
            lost = "nothing to salvage"
        elif not self.lost:
            lost = "nothing lost"
        elif self.lost_records is None:
            lost = f"{format_bytes(sum(part.bytes for part in self.lost))} lost"
            compressed = sum(part.compressed_bytes or 0 for part in self.lost)
            if compressed:
                lost += f", and {format_bytes(compressed)} that cannot be decompressed"
        else:
            lost = f"{pluralize(self.lost_records, 'record')} lost"
        written = (
            "dry run, nothing written"
            if self.output is None
            else f"written to {escape_for_display(self.output)}"
        )
        return f"{escape_for_display(self.file)}: {intact}, {written}: {lost}"
