"""The command `compact`."""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.options import HELP, report_and_runner

_EPILOG = """\b
Example:
  shardmill compact nightly/ compacted/
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset")
@click.argument("output")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@report_and_runner
def compact(*, as_json: bool, quiet: bool, **given: Any) -> None:
    """Write all generations of DATASET into OUTPUT as one. DATASET is not changed.

    Records are copied as they are, into full shards, in the order of one conversion of them all. A
    run that was killed goes on when the same command is run again.
    """
    from pipelines.cli.output import compact_with_progress

    compact_with_progress(**given, as_json=as_json, quiet=quiet)
