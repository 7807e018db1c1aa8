"""Sections that need results of other commands, and name these commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.report.parts import Finding, Note, Section, show_command

if TYPE_CHECKING:
    from records.dataset import Dataset


def missing_label_errors_section(dataset: Dataset) -> Section:
    """Return the section about wrong labels of a report without them."""
    found = show_command("label-errors", dataset.path, "--model", "mobilenet_v2", "--json")
    note = Note(
        "Labels that may be wrong are not shown, because they were not searched. The first command"
        " searches them; then make the report again.",
        (
            f"{found} > label-errors.json",
            _report(dataset, "--label-errors", "label-errors.json"),
        ),
    )
    finding = Finding("Label errors", "not searched")
    return Section("label-errors", "Label errors", (note,), (finding,))


def missing_runs_section(dataset: Dataset) -> Section:
    """Return the section about runs of a report without them."""
    note = Note(
        "No run is shown. The first command trains a run; then make the report again. Of several"
        " runs, the first is compared with each of the others.",
        (show_command("train", dataset.path, "RUN"), _report(dataset, "RUN")),
    )
    return Section("runs", "Runs", (note,), (Finding("Runs", "none given"),))


def _report(dataset: Dataset, *arguments: str) -> str:
    return show_command("report", dataset.path, *arguments, "-o", "NEW.html")
