"""Output of the commands that edit the records of a dataset."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pipelines.cli.output import describe_old_shards, silence_beam_logs
from pipelines.metrics import describe_edit
from pipelines.sources.reader import read_text_file
from records.cli.output import print_json, print_text
from records.errors import InputNotFoundError
from records.runtime.logging import add_to_last_line, is_json, log_event
from records.runtime.progress import progress_callback
from records.runtime.telemetry import record_metrics
from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes, pluralize

if TYPE_CHECKING:
    from pipelines.edit.report import EditReport
    from records.runtime.shard_worker import OnProgress

_SHOWN_NAMES = 10


def read_given(path: str) -> tuple[bytes, str]:
    """Return the content of a file, or of stdin if its name is `-`, and its name for messages.

    Raises:
        InputNotFoundError: the file does not exist, or stdin cannot be read.
    """
    if path != "-":
        return read_text_file(path), path
    try:
        return sys.stdin.buffer.read(), "stdin"
    except OSError as error:
        raise InputNotFoundError("cannot read stdin", got=error.strerror) from error


def run_edit(
    what: str, run: Callable[[OnProgress], EditReport], *, as_json: bool, quiet: bool
) -> None:
    """Run with a progress bar, and print the report.

    Args:
        what: what the run does, for the progress bar.
        run: the function that runs, and returns the report.
        as_json: whether the report is printed as JSON.
        quiet: whether neither progress nor the report as text is printed.
    """
    silence_beam_logs()
    started_at = time.monotonic()
    with progress_callback(what, unit="images", quiet=quiet) as on_progress:
        report = run(on_progress)
    if as_json:
        print_json(report)
    elif not quiet and not is_json():
        print_text("\n".join(_summarize(report)))
    fields = {"status": report.status, "target": report.output, "generation": report.generation}
    edited = {"removed": report.removed, "relabelled": report.relabelled}
    log_event(f"{report.output}: {report.status}", **fields, **edited)
    add_to_last_line(**fields)
    if report.status != "planned":
        seconds = time.monotonic() - started_at
        record_metrics(lambda: describe_edit(report, seconds=seconds))


def _summarize(report: EditReport) -> Iterator[str]:
    """Yield the lines of a report as text."""
    edited = pluralize(report.removed or report.relabelled, "image")
    effect = "relabelled" if report.relabelled else "removed"
    yield {
        effect: f"{report.output}: {edited} {effect} in generation {report.generation}",
        "planned": f"{report.output}: {edited} would be {effect} (dry run)",
        "nothing-to-do": f"{report.output}: nothing to do, no image needs an edit",
    }[report.status]
    if report.removed_before:
        yield f"  before     {pluralize(report.removed_before, 'image')} removed by earlier runs"
    if report.kept_out:
        yield f"  kept out   {pluralize(report.kept_out, 'image')} that --accept-gone had removed"
    if report.missing:
        yield f"  missing    {pluralize(report.missing, 'key')} not found in the dataset"
    if report.new_classes:
        names = ", ".join(map(escape_for_display, report.new_classes[:_SHOWN_NAMES]))
        yield f"  new        {pluralize(len(report.new_classes), 'class')}: {names}"
    for split, info in report.splits.items():
        images, shards = pluralize(info.images, "image"), pluralize(info.shards, "shard")
        yield f"  {split:<10} {images} in {shards}, {format_bytes(info.bytes)}"
    yield from describe_old_shards(report.old_shards, report.next)
