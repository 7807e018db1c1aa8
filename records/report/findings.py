"""Findings of all sections of a report, with links to their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from records.report.parts import Link, Links, Section


def add_findings(sections: Sequence[Section]) -> Iterator[Section]:
    """Yield a section with the findings of all sections, if there are some; then the sections."""
    rows = tuple(
        Link(section.anchor_of(found.part), found.name, found.text)
        for section in sections
        for found in section.findings
    )
    if rows:
        yield Section("findings", "Findings", (Links(rows),))
    yield from sections
