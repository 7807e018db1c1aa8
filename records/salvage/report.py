"""What `salvage` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes, pluralize

if TYPE_CHECKING:
    from records.salvage.salvage import Loss, SalvageReport

_SHOWN_KEYS = 10


def show_salvage(report: SalvageReport) -> list[str]:
    """Each finding, each stretch that is lost, and the sum."""
    return [*map(str, report.findings), *map(_show_loss, report.lost), _show_sum(report)]


def _show_loss(loss: Loss) -> str:
    text = f"lost  {pluralize(loss.bytes, 'byte')} from offset {loss.offset}"
    if loss.keys:
        shown = ", ".join(map(escape_for_display, loss.keys[:_SHOWN_KEYS]))
        more = len(loss.keys) - _SHOWN_KEYS
        text += f": {shown}" + (f" and {more:,} more" if more > 0 else "")
    return text


def _show_sum(report: SalvageReport) -> str:
    whole = f"{pluralize(report.records, 'whole record')}, {format_bytes(report.bytes)}"
    if not report.lost:
        lost = "nothing lost"
    elif report.lost_records is None:
        lost = f"{format_bytes(sum(loss.bytes for loss in report.lost))} lost"
    else:
        lost = f"{pluralize(report.lost_records, 'record')} lost"
    where = (
        "a dry run, nothing written"
        if report.out is None
        else f"in {escape_for_display(report.out)}"
    )
    return f"{escape_for_display(report.shard)}: {whole}, {where}: {lost}"
