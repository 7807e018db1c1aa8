"""The command `compact`."""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.options import HELP, job_options
from records.cli.option_groups import GroupedCommand
from records.cli.output import processes_option
from records.cli.params import Location

_EPILOG = """\b
Example:
  shardmill compact data/ compacted/
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.argument("output", type=Location())
@job_options(
    processes_option,
    click.option("--dry-run", is_flag=True, help="Report what would be written; write nothing."),
)
def compact(*, as_json: bool, quiet: bool, **given: Any) -> None:
    """Copy all generations of DATASET into OUTPUT as one generation. DATASET is not changed.

    Records are copied without decoding. The new shards have their full size, and the records are in
    the order that a single conversion of all images would write. To resume an interrupted run, run
    the same command again. Other files in OUTPUT are kept.
    """
    from pipelines.cli.output import compact_with_progress

    compact_with_progress(**given, as_json=as_json, quiet=quiet)
