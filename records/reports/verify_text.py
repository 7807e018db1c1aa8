"""What `verify` says at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.layout import MANIFEST
from records.reports.finding import Finding
from records.reports.tables import count, show_bytes
from records.text import printable

if TYPE_CHECKING:
    from records.reports.finding import Checked


class VerifyReport(msgspec.Struct, frozen=True):
    """What `verify --json` prints."""

    target: str
    files: int
    records: int
    bytes: int
    findings: list[Finding]


class Summary:
    """Adds up what was checked."""

    def __init__(self, target: str) -> None:
        self._target = printable(target)
        self._files: set[str] = set()
        self._records = 0
        self._size_bytes = 0
        self.findings: list[Finding] = []

    def add(self, checked: Checked) -> None:
        """Add one file."""
        if checked.file != MANIFEST:
            self._files.add(checked.file)
        self._records += checked.records
        self._size_bytes += checked.size_bytes
        self.findings += checked.findings

    def facts(self) -> VerifyReport:
        """The sum."""
        return VerifyReport(
            target=self._target,
            files=len(self._files),
            records=self._records,
            bytes=self._size_bytes,
            findings=self.findings,
        )

    def __str__(self) -> str:
        found = count(len(self.findings), "finding") if self.findings else "all good"
        files, records = count(len(self._files), "file"), count(self._records, "record")
        return f"{self._target}: {files}, {records}, {show_bytes(self._size_bytes)}: {found}"
