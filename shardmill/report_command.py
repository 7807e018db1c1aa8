"""The command `report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import json_option, note_unfinished, print_result
from records.cli.params import Location, NewFile
from records.runtime.logging import log_line
from records.text.escaping import escape_surrogates
from records.text.urls import redact_url

if TYPE_CHECKING:
    from records.report import Report

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill report data/ -o report.html
  shardmill report data/ run1/ run2/ -o report.html --split test --explain
  shardmill report data/ -o report.html --label-errors label-errors.json
  shardmill report s3://bucket/data -o s3://bucket/report.html

Exit codes: 0 done, 2 usage error, or a run does not fit the dataset, 66 dataset,
run or file not found, or damaged, 73 the file exists or cannot be written,
74 storage failed.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset", type=Location())
@click.argument("runs", nargs=-1, type=Location(), metavar="[RUN]...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=NewFile(".html", what="reports"),
    metavar="FILE.html",
    help="New file for the report, a path or URL.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="Split to evaluate the runs on; by default test, or validation if the dataset has no"
    " test.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Also draw which places of the worst mistakes of each RUN support the prediction.",
)
@click.option(
    "--label-errors",
    type=Location(),
    metavar="FILE.json",
    help="Also show the labels that may be wrong; FILE.json is the output of label-errors --json.",
)
@click.option(
    "--measure",
    is_flag=True,
    help="Compute and save the measurements for near-duplicates and quality issues that are not"
    " saved yet. This decodes every image.",
)
@json_option
def report(
    dataset: str,
    runs: tuple[str, ...],
    *,
    output: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Write a report of DATASET, and of each RUN, as one HTML page.

    The page shows classes, a sample of the images, sizes, rejected files, duplicates, quality
    issues and generations. Each RUN is evaluated on DATASET: curves, confusions, calibration and
    mistakes; with several runs, the first is compared with each of the others. The page makes no
    request, and has at most 10 MB.
    """
    from records.dataset import open_dataset
    from records.verification.unfinished import find_unfinished
    from shardmill.reporting import report as make_report

    note_unfinished(find_unfinished(open_dataset(dataset).storage)[0])
    made = _make(make_report, dataset, runs, output=output, **given)
    shown = escape_surrogates(redact_url(output))
    result = {
        "report": shown,
        "bytes": len(made.encode()),
        "pictures": made.pictures,
        "sections": list(made.sections),
    }
    print_result(result, _describe(made, shown), as_json=as_json)


def _make(
    make_report: Any,
    dataset: str,
    runs: tuple[str, ...],
    *,
    output: str,
    measure: bool,
    **given: Any,
) -> Report:
    from records.runtime.progress import progress_bar

    if runs:
        from trainers.cli.output import ignore, start_backend

        start_backend(ignore)
    with progress_bar("measuring", unit="images", quiet=not measure) as bar:
        made: Report = make_report(
            dataset,
            runs,
            output,
            measure=measure,
            on_images=bar.update,
            on_message=log_line,
            **given,
        )
    return made


def _describe(made: Report, output: str) -> list[str]:
    from records.text.formatting import format_bytes, pluralize

    size = format_bytes(len(made.encode()))
    return [f"{output}: {size}, {pluralize(made.pictures, 'picture')}"]
