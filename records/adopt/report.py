"""What `adopt` says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from records.format.index import Reject
from records.format.label_map import LabelMap
from records.format.layout import SplitName
from records.format.manifest import Counts, ExternalFormat
from records.text.escaping import escape_for_display
from records.text.formatting import align, format_bytes, pluralize

if TYPE_CHECKING:
    from records.adopt.plan import AdoptionPlan

_SHOWN = 10
_DONE = {
    "adopted": "adopted",
    "planned": "a dry run, nothing written",
    "nothing-to-do": "nothing to do, it was adopted before",
}
Status = Literal["adopted", "planned", "nothing-to-do"]


class AdoptedSplit(msgspec.Struct, frozen=True):
    """A split: its records, files and bytes."""

    records: int
    files: int
    bytes: int


class AdoptReport(msgspec.Struct, frozen=True):
    """What `adopt --json` prints; `rejects` are the records that are left out."""

    status: Status
    target: str
    counts: Counts
    splits: dict[SplitName, AdoptedSplit]
    labels: LabelMap
    adopted: ExternalFormat
    rejects_by_reason: dict[str, int]
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...]


def report_on(
    plan: AdoptionPlan, target: str, status: Status, notes: tuple[str, ...]
) -> AdoptReport:
    """The report of an adoption that was planned."""
    manifest = plan.manifest
    return AdoptReport(
        status=status,
        target=target,
        counts=manifest.generations[0].counts,
        splits={
            name: AdoptedSplit(facts.records, len(facts.shards), facts.bytes)
            for name, facts in manifest.splits.items()
        },
        labels=manifest.labels,
        adopted=cast("ExternalFormat", manifest.adopted),
        rejects_by_reason=dict(sorted(Counter(r.reason for r in plan.rejects).items())),
        rejects=plan.rejects,
        notes=notes,
    )


def show_report(report: AdoptReport) -> list[str]:
    """The report in a few lines."""
    features = report.adopted.features
    rows: list[tuple[str, str]] = [
        (
            name,
            f"{pluralize(s.records, 'record')} in {pluralize(s.files, 'file')}, {format_bytes(s.bytes)}",
        )
        for name, s in report.splits.items()
    ]
    rows += [
        ("image", escape_for_display(features.image)),
        ("class", _show_class(report)),
        (
            "key",
            "made from file and number"
            if features.key is None
            else escape_for_display(features.key),
        ),
    ]
    if report.adopted.preexisting:
        rows.append(("kept", f"{', '.join(report.adopted.preexisting)}, which were there"))
    lines = [f"{escape_for_display(report.target)}: {_DONE[report.status]}"]
    lines += [f"  {line}" for line in align(rows)]
    for reject in report.rejects[:_SHOWN]:
        lines.append(
            escape_for_display(f"left out  {reject.key}: {reject.reason}, {reject.detail}")
        )
    if len(report.rejects) > _SHOWN:
        lines.append(f"left out  {len(report.rejects) - _SHOWN:,} more, all are in rejects.jsonl")
    return [*lines, *(f"note: {escape_for_display(note)}" for note in report.notes)]


def _show_class(report: AdoptReport) -> str:
    features = report.adopted.features
    names = [name for name in (features.label, features.text) if name is not None]
    shown = ", ".join(map(escape_for_display, report.labels[:_SHOWN]))
    more = ", …" if len(report.labels) > _SHOWN else ""
    first = " from 1" if report.adopted.first_label else ""
    where = f"{' and '.join(map(escape_for_display, names))}{first}"
    return f"{where}; {pluralize(len(report.labels), 'label')}: {shown}{more}"
