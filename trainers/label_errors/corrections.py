"""Suggested classes as a list for `relabel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from trainers.label_errors.result import LabelErrors


class _Row(msgspec.Struct, frozen=True):
    key: str
    class_name: str = msgspec.field(name="class")
    given: str
    score: float


def encode_corrections(found: LabelErrors) -> bytes:
    """Return a JSON object per candidate and line: key, suggested class, class so far, its score.

    A CSV file for spreadsheets would change keys that look like a formula.
    """
    rows = (
        _Row(each.key, each.suggested, each.class_name, round(each.score, 6))
        for each in found.candidates
    )
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
