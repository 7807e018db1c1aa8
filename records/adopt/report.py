"""Report of an adoption."""

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

_MAX_SHOWN = 10
_DONE = {
    "adopted": "adopted",
    "planned": "dry run, nothing written",
    "nothing-to-do": "nothing to do, already adopted",
}
Status = Literal["adopted", "planned", "nothing-to-do"]


class AdoptedSplit(msgspec.Struct, frozen=True):
    """Counts of records, files and bytes in a split."""

    records: int
    files: int
    bytes: int


class AdoptReport(msgspec.Struct, frozen=True):
    """The output of `adopt --json`.

    Attributes:
        status: `adopted`, `planned` (a dry run), or `nothing-to-do` (already adopted).
        output: the path of the dataset; `target` in JSON.
        counts: the record counts.
        splits: the counts of each split, by name.
        labels: the class names, by label.
        adopted: the feature names and the number of the first class.
        rejects_by_reason: the number of excluded records for each reason.
        rejects: the excluded records.
        notes: the assumptions that the user should check.
    """

    status: Status
    output: str = msgspec.field(name="target")
    counts: Counts
    splits: dict[SplitName, AdoptedSplit]
    labels: LabelMap
    adopted: ExternalFormat
    rejects_by_reason: dict[str, int]
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the output of `adopt`, one string per line."""
        rows = [*_split_rows(self), *_feature_rows(self)]
        lines = [f"{escape_for_display(self.output)}: {_DONE[self.status]}"]
        lines += [f"  {line}" for line in align(rows)]
        for reject in self.rejects[:_MAX_SHOWN]:
            text = f"excluded  {reject.key}: {reject.reason}, {reject.detail}"
            lines.append(escape_for_display(text))
        if len(self.rejects) > _MAX_SHOWN:
            more = len(self.rejects) - _MAX_SHOWN
            where = "" if self.status == "planned" else "; rejects.jsonl lists all"
            lines.append(f"excluded  {more:,} more{where}")
        return [*lines, *(f"note: {escape_for_display(note)}" for note in self.notes)]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


def make_report(
    plan: AdoptionPlan, output: str, status: Status, notes: tuple[str, ...]
) -> AdoptReport:
    """Return the report of a finished or planned adoption."""
    manifest = plan.manifest
    return AdoptReport(
        status=status,
        output=output,
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


def _split_rows(report: AdoptReport) -> list[tuple[str, str]]:
    rows = []
    for name, split in report.splits.items():
        records, files = pluralize(split.records, "record"), pluralize(split.files, "file")
        rows.append((str(name), f"{records} in {files}, {format_bytes(split.bytes)}"))
    return rows


def _feature_rows(report: AdoptReport) -> list[tuple[str, str]]:
    features = report.adopted.features
    key = "file name and number" if features.key is None else escape_for_display(features.key)
    rows = [
        ("image", escape_for_display(features.image)),
        ("class", _format_class(report)),
        ("key", key),
    ]
    if report.adopted.preexisting:
        rows.append(("kept", f"{', '.join(report.adopted.preexisting)}, which existed already"))
    return rows


def _format_class(report: AdoptReport) -> str:
    features = report.adopted.features
    names = [name for name in (features.label, features.text) if name is not None]
    shown = ", ".join(map(escape_for_display, report.labels[:_MAX_SHOWN]))
    more = ", …" if len(report.labels) > _MAX_SHOWN else ""
    first = " from 1" if report.adopted.first_label else ""
    source = f"{' and '.join(map(escape_for_display, names))}{first}"
    return f"{source}; {pluralize(len(report.labels), 'label')}: {shown}{more}"
