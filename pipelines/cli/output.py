"""Output of the commands: progress on stderr, a summary on stdout."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from pipelines.metrics import describe_conversion
from pipelines.metrics_file import check_metrics_file, write_metrics
from pipelines.report import Report, list_reasons, report_splits
from records.cli.output import print_json, print_text
from records.format.index import Reject
from records.format.layout import REJECTS, generation_path
from records.format.manifest import read_manifest
from records.format.skipped import SkippedFile
from records.runtime.logging import add_to_last_line, is_json, log_event, log_line
from records.runtime.progress import progress_callback
from records.runtime.shard_worker import OnProgress
from records.runtime.telemetry import Metric, record_metrics
from records.storage import open_storage
from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, format_bytes, pluralize

_QUARANTINED = 1
_NO_NEW_IMAGES = 9
_SHOWN_SHARDS = 5
_BY_HAND = "remove these files by hand: no generation lists them"
_KEY_CHARACTERS = 200
_DETAIL_CHARACTERS = 200
_LAST_LINE_FIELDS = ("status", "target", "generation", "stored", "quarantined")


class Shown(NamedTuple):
    """How the result of a run is shown.

    Attributes:
        metrics: the file for the metrics; None for none.
        as_json: whether the report is printed as JSON.
        is_quiet: whether neither progress nor the report as text is printed.
    """

    metrics: str | None
    as_json: bool
    is_quiet: bool


def run_with_progress(
    what: str, run: Callable[[OnProgress], Report], output: str, shown: Shown
) -> Report:
    """Run with a progress bar, print the report, and write the metrics; return the report.

    Args:
        what: what the run does, for the progress bar.
        run: the function that runs, and returns the report.
        output: the path or URL of the dataset that it writes.
        shown: how the result is shown.
    """
    silence_beam_logs()
    if shown.metrics is not None:
        check_metrics_file(shown.metrics, output)
    started_at = time.monotonic()
    with progress_callback(what, unit="images", quiet=shown.is_quiet) as on_progress:
        report = run(on_progress)
    if shown.as_json:
        print_json(report)
    elif not shown.is_quiet and not is_json():
        print_text(summarize(report))
    if report.quarantined:
        log_line(_describe_quarantine(report), level=logging.ERROR, exit_code=_QUARANTINED)
    fields = _log_fields(report)
    log_event(f"{report.output}: {report.status}", **fields)
    add_to_last_line(**{name: fields[name] for name in _LAST_LINE_FIELDS})
    if report.status in {"converted", "nothing-to-do"}:
        seconds = time.monotonic() - started_at

        def list_metrics() -> Iterator[Metric]:
            splits = report_splits(read_manifest(open_storage(output)).splits)
            return describe_conversion(report, splits, seconds=seconds)

        record_metrics(list_metrics)
        if shown.metrics is not None:
            write_metrics(shown.metrics, list_metrics())
    return report


def exit_code(report: Report, *, error_on_no_new_images: bool) -> int:
    """Return the exit code of a command that has written, or found complete, a dataset."""
    if report.quarantined:
        return _QUARANTINED
    return _NO_NEW_IMAGES if error_on_no_new_images and not report.counts.stored else 0


def _log_fields(report: Report) -> dict[str, object]:
    """Return the fields of a report for a log line, without lists of files."""
    return {
        "status": report.status,
        "target": report.output,
        "generation": report.generation,
        "quarantined": report.quarantined,
        **msgspec.structs.asdict(report.counts),
        **msgspec.structs.asdict(report.differences),
        "removed": report.removed,
        "corrected": report.corrected,
        "notes": report.notes,
        "images_per_second": report.images_per_second,
    }


def silence_beam_logs() -> None:
    """Hide the logs of Beam, such as the traceback of every worker exception.

    Users still see the log of shardmill, and the exception as one line.
    """
    if "--verbose" not in sys.argv:
        logging.getLogger().addHandler(logging.NullHandler())
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)
        # Beam threads that still listen when the engine closes the connection raise an exception.
        threading.excepthook = _log_thread


def _log_thread(raised: threading.ExceptHookArgs) -> None:
    trace = (raised.exc_type, raised.exc_value, raised.exc_traceback)
    logging.getLogger("apache_beam").error("in a thread", exc_info=trace)  # type: ignore[arg-type]


def _describe_quarantine(report: Report) -> str:
    counts = report.counts
    images, reasons = counts.stored + counts.rejected, list_reasons(report.rejects_by_reason)
    rejected = f"{counts.rejected:,} of {pluralize(images, 'image')} rejected ({reasons})"
    if report.status == "planned":
        return f"{report.output}: {rejected}, more than allowed; the others would be published"
    return (
        f"{report.output}: {rejected}, more than allowed; the others are published, and"
        f" {_list_of_rejects(report)} lists the rejects"
    )


def summarize(report: Report) -> str:
    """Return a report in a few lines of text."""
    heads = {
        "converted": f"{report.output}: done"
        + (f", {pluralize(report.counts.rejected, 'image')} quarantined" * report.quarantined),
        "nothing-to-do": f"{report.output}: nothing to do, the dataset is complete",
        "planned": f"{report.output}: would be written (dry run)",
        "too-many-rejects": f"{report.output}: too many rejects",
    }
    lines = [heads[report.status]]
    if report.generation > 1:
        lines.append(f"  generation {report.generation}")
    if report.layout == "splits":
        lines.append(
            f"  source     folders {', '.join(report.source_splits)}, one folder per class in each"
        )
    elif report.layout == "classes":
        lines.append("  source     one folder per class")
    elif report.understood is not None:
        lines.append(f"  source     {report.understood}")
    lines.append(f"  classes    {report.classes}")
    for split, info in report.splits.items():
        size = f", {format_bytes(info.bytes)}" if info.bytes else ""
        images, shards = pluralize(info.images, "image"), pluralize(info.shards, "shard")
        lines.append(f"  {split:<10} {images} in {shards}{size}")
    if report.removed or report.corrected:
        removed, corrected = pluralize(report.removed, "image"), report.corrected
        lines.append(f"  edits      {removed} removed, {corrected:,} with a new class")
    lines.append(f"  {_counts(report)}")
    lines += _left_out(report)
    lines += describe_old_shards(report.old_shards, report.next)
    lines += [f"  note: {note}" for note in report.notes]
    if report.seconds:
        lines.append(f"  {report.seconds:.1f} s, {report.images_per_second:,.0f} images/s")
    return "\n".join(lines)


def _left_out(report: Report) -> Iterator[str]:
    """Yield lines on the first files that are not stored, and the names of the lists of all."""
    yield from (_describe_file("rejected", reject) for reject in report.first_rejects)
    has_more = len(report.first_rejects) < report.counts.rejected or report.quarantined
    if has_more and report.status != "planned":
        yield f"{'':13}all rejects: {_list_of_rejects(report)}"
    yield from (_describe_file(file.outcome, file) for file in report.first_skipped)
    left_out = report.counts.skipped + report.counts.excluded
    if len(report.first_skipped) < left_out and report.skipped_list is not None:
        folder = report.output.rstrip("/")
        yield f"{'':13}all skipped and excluded files: {folder}/{report.skipped_list}"


def _list_of_rejects(report: Report) -> str:
    return f"{report.output.rstrip('/')}/{generation_path(REJECTS, report.generation)}"


def _describe_file(outcome: str, file: Reject | SkippedFile) -> str:
    detail = f"{file.reason}: {abbreviate(file.detail, _DETAIL_CHARACTERS)}"
    return f"  {outcome:<10} {escape_for_display(abbreviate(file.key, _KEY_CHARACTERS))}: {detail}"


def _counts(report: Report) -> str:
    counts = report.counts
    reasons = list_reasons(report.rejects_by_reason)
    rejected = f"{counts.rejected:,} rejected" + (f" ({reasons})" if reasons else "")
    known = f" + {counts.known:,} known" if counts.known else ""
    return (
        f"{pluralize(counts.found, 'file')} found = {counts.stored:,} stored + {rejected}"
        f" + {counts.skipped:,} skipped + {counts.excluded:,} excluded{known}"
    )


def describe_old_shards(old_shards: Sequence[str], following: Sequence[str]) -> Iterator[str]:
    """Yield lines on the shards that contain removed images; none without such a shard.

    Args:
        old_shards: the names of the shards.
        following: the commands that remove those of earlier generations.
    """
    if not old_shards:
        return
    yield f"  old shards {pluralize(len(old_shards), 'shard')} with the bytes of removed images:"
    for name in old_shards[:_SHOWN_SHARDS]:
        yield f"{'':13}{escape_for_display(name)}"
    if (more := len(old_shards) - _SHOWN_SHARDS) > 0:
        yield f"{'':13}and {more:,} more (--json lists all)"
    for command in following or (_BY_HAND,):
        yield f"  to erase   {escape_for_display(command)}"
