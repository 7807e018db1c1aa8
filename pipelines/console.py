"""What people see of a conversion: a bar or a line a minute on stderr, a summary on stdout."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec
from tqdm import tqdm

from pipelines.convert import run
from pipelines.execute import OnProgress
from pipelines.extract import extract
from pipelines.options import ConvertOptions
from pipelines.report import Report
from records.dataset import open_dataset
from records.text import printable

_LINE_SECONDS = 60.0


def convert_with_progress(options: ConvertOptions, *, as_json: bool, quiet: bool) -> None:
    """Run a conversion as the command line does."""
    if "--verbose" not in sys.argv:
        # Beam logs the trace of whatever a worker raises; ours is one line, from the exception.
        logging.getLogger().addHandler(logging.NullHandler())
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)
    with _progress("converting", quiet=quiet) as on_progress:
        report = run(options, on_progress)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report)))
    elif not quiet:
        click.echo(summarize(report))


def extract_with_progress(target: str, out: str, *, quiet: bool) -> None:
    """Run an extraction as the command line does."""
    total = sum(map(len, open_dataset(target).values()))
    done = 0
    with _progress("extracting", quiet=quiet) as on_progress:

        def on_image() -> None:
            nonlocal done
            done += 1
            on_progress(done, total)

        written = extract(target, out, on_image)
    if not quiet:
        click.echo(f"{written} images in {printable(out)}")


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[OnProgress]:
    if quiet:
        yield lambda _done, _total: None
    elif sys.stderr.isatty():
        with tqdm(desc=what, unit=" images", unit_scale=False, dynamic_ncols=True) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show
    else:
        yield _LogLines(what)


class _LogLines:
    """A line a minute, for logs."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _LINE_SECONDS:
            self._last = now
            click.echo(f"{self._what}: {done} of {total} images", err=True)


def summarize(report: Report) -> str:
    """A report in a few lines for a person."""
    heads = {
        "converted": f"{report.target}: done",
        "nothing-to-do": f"{report.target}: nothing to do, the dataset is there and complete",
        "planned": f"{report.target}: would be written (dry run)",
        "too-many-rejects": f"{report.target}: too many rejects",
    }
    lines = [heads[report.status]]
    if report.layout == "splits":
        lines.append("  source     train, test, validation folders, classes in them")
    elif report.layout == "classes":
        lines.append("  source     a folder a class")
    lines.append(f"  classes    {report.classes}")
    for split, facts in report.splits.items():
        size = f", {facts.bytes / 1e6:.1f} MB" if facts.bytes else ""
        lines.append(f"  {split:<10} {facts.images} images in {_shards(facts.shards)}{size}")
    lines.append(f"  {_counts(report)}")
    lines += [f"  note: {note}" for note in report.notes]
    if report.seconds:
        lines.append(f"  {report.seconds:.1f} s, {report.images_per_second:.0f} images/s")
    return "\n".join(lines)


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count} shards"


def _counts(report: Report) -> str:
    c = report.counts
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.rejects_by_reason.items())
    rejected = f"{c.rejected} rejected" + (f" ({reasons})" if reasons else "")
    return (
        f"{c.found} files found = {c.stored} stored + {rejected} + {c.skipped} skipped"
        f" + {c.excluded} excluded"
    )
