"""The command `log`."""

from __future__ import annotations

import click

from records.cli.output import json_option, print_result
from records.cli.params import Location

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill log data/
  shardmill log s3://bucket/data --json

Exit codes: 0 done, 66 no finished dataset.
"""


@click.command(epilog=_EPILOG)
@click.argument("dataset", type=Location())
@json_option
def log(dataset: str, *, as_json: bool) -> None:
    """List the generations of a dataset, the newest first.

    Each line has the number of a generation, the time at which it was published (UTC), the command,
    the numbers of records that were added, removed and relabelled, the number of records after it,
    and the reason that --message gave. DATASET@N is generation N. A pruned generation cannot be
    read.
    """
    from records.history import log as read_log

    history = read_log(dataset)
    print_result(history, history.lines(), as_json=as_json)
