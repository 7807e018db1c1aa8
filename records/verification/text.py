"""What `verify` says at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.format.layout import MANIFEST
from records.integrity.findings import Finding
from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes, pluralize

if TYPE_CHECKING:
    from records.integrity.findings import FileCheck


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
        self._target = escape_for_display(target)
        self._files: set[str] = set()
        self._records = 0
        self._size_bytes = 0
        self.findings: list[Finding] = []

    def add(self, checked: FileCheck) -> None:
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
        found = pluralize(len(self.findings), "finding") if self.findings else "all good"
        files, records = pluralize(len(self._files), "file"), pluralize(self._records, "record")
        return f"{self._target}: {files}, {records}, {format_bytes(self._size_bytes)}: {found}"
