"""The command `prune`."""

from __future__ import annotations

import click

from pipelines.cli.options import HELP
from records.cli.output import json_option, print_result
from records.cli.params import Location

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill prune data/ --older-than 30d --dry-run
  shardmill prune s3://bucket/data --older-than 7d

Exit codes: 0 done or nothing to prune, 2 invalid duration, 66 no finished
dataset, or a manifest is damaged, 73 a file cannot be removed, 75 in use by
another run.
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.option(
    "--older-than",
    required=True,
    metavar="DURATION",
    help="Remove generations that were replaced before this time, such as 12h or 7d.",
)
@click.option("--dry-run", is_flag=True, help="Report what would be removed; remove nothing.")
@json_option
def prune(dataset: str, *, older_than: str, dry_run: bool, as_json: bool) -> None:
    """Remove old generations of DATASET, and the files that only they need.

    The present generation is never removed. A removed generation cannot be read or rolled back to,
    but `shardmill log` still lists it. A file that shardmill did not write, or that was changed
    since, is kept.
    """
    from pipelines.prune import prune as prune_dataset

    report = prune_dataset(dataset, older_than=older_than, dry_run=dry_run)
    print_result(report, report.lines(), as_json=as_json)
