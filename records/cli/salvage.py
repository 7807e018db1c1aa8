"""The command `salvage`."""

from __future__ import annotations

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import json_option, print_result
from records.cli.params import Location

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill salvage data/train-00003-of-00008.tfrecord intact.tfrecord
  shardmill salvage train.record intact.record --json > lost.json

Exit codes: 0 nothing lost, 1 records lost or FILE is empty, 66 file not found, 73 OUTPUT exists or
cannot be written.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("file", type=Location())
@click.argument("output", type=Location())
@click.option("--dry-run", is_flag=True, help="Report the lost records, and write nothing.")
@json_option
def salvage(file: str, output: str, dry_run: bool, as_json: bool) -> None:
    """Copy every intact record of a damaged TFRecord file to a new file.

    FILE is a shard of a dataset or any other TFRecord file: plain, GZIP or ZLIB. If FILE has an
    index, the report names the lost records. OUTPUT is a new file, written completely or not at
    all; FILE is not changed.
    """
    from records.runtime.progress import progress_bar
    from records.salvage import salvage as copy_intact_records

    with progress_bar("reading", unit="B") as bar:
        report = copy_intact_records(file, output, dry_run=dry_run, on_bytes=bar.update)
    print_result(report, report.lines(), as_json=as_json)
    click.get_current_context().exit(1 if report.lost or report.is_empty else 0)
