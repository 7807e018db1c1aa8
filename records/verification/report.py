"""Totals and findings of a verification."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from records.format.layout import MANIFEST
from records.generations import split_generation
from records.integrity.findings import Finding
from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes, pluralize
from records.text.urls import redact_location
from records.verification.unfinished import UnfinishedRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.integrity.findings import FileCheck


_NOT_REPAIRABLE = {"unexpected", "manifest", "signature"}
"""The kinds of findings about files that `repair` does not change."""


class VerifyReport(msgspec.Struct, frozen=True):
    """The output of `verify --json`.

    Attributes:
        path: the path of the dataset or the file, as passed by the user; a URL without credentials.
        files: the number of checked files, not counting the manifest.
        records: the number of intact records in these files.
        bytes: the number of bytes that were read.
        findings: the findings about all files.
        unfinished: the run that is adding to the dataset, or was interrupted; absent without one.
        next: the command that makes the damaged files again; absent if there are none.
    """

    path: str = msgspec.field(name="target")
    files: int
    records: int
    bytes: int
    findings: list[Finding]
    unfinished: UnfinishedRun | msgspec.UnsetType = msgspec.UNSET
    next: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

    def lines(self) -> list[str]:
        """Return the totals, and the next command, one string per line."""
        return [str(self), *(f"to repair: {command}" for command in self.next or ())]

    def __str__(self) -> str:
        found = pluralize(len(self.findings), "finding") if self.findings else "all good"
        files, records = pluralize(self.files, "file"), pluralize(self.records, "record")
        return f"{self.path}: {files}, {records}, {format_bytes(self.bytes)}: {found}"


class VerifyTotals:
    """Running totals of the checked files."""

    def __init__(self, path: str) -> None:
        self._path = escape_for_display(redact_location(path))
        self._dataset = split_generation(redact_location(path))[0]
        self._is_repairable = False
        self._files: set[str] = set()
        self._records = 0
        self._size_bytes = 0
        self._findings: list[Finding] = []
        self._unfinished: UnfinishedRun | None = None

    def add(self, checked: FileCheck) -> None:
        """Add the result of checking one file."""
        if checked.file != MANIFEST:
            self._files.add(checked.file)
        self._records += checked.records
        self._size_bytes += checked.size_bytes
        self._findings += checked.findings
        self._unfinished = self._unfinished or checked.unfinished
        self._is_repairable |= checked.is_repairable

    def report(self) -> VerifyReport:
        """Return the totals so far."""
        return VerifyReport(
            path=self._path,
            files=len(self._files),
            records=self._records,
            bytes=self._size_bytes,
            findings=list(self._findings),
            unfinished=self._unfinished or msgspec.UNSET,
            next=tuple(self._next()) or msgspec.UNSET,
        )

    def _next(self) -> Iterator[str]:
        if self._is_repairable and any(it.kind not in _NOT_REPAIRABLE for it in self._findings):
            command = shlex.join(["shardmill", "repair", escape_for_display(self._dataset)])
            yield f"{command} SOURCE"
