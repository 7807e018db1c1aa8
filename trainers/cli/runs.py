"""The command `runs`."""

from __future__ import annotations

import click

from records.cli.output import json_option, print_result
from records.cli.params import Location, NewFile
from trainers.cli import output

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill runs first/ second/
  shardmill runs runs/* --chart runs.png
  shardmill runs first/ second/ --split test
  shardmill runs s3://photos/run-1 s3://photos/run-2 --json

Exit codes: 0 done, 2 usage error, 66 run not found, without a completed epoch, or
damaged, 73 FILE exists or cannot be written, 74 storage failed.
"""


@click.command(epilog=_EPILOG)
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", type=Location())
@click.option(
    "--chart",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="Draw the validation metric and loss of all runs by epoch to this new file.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="Also evaluate all runs on this split of their dataset, and test whether the accuracies of"
    " the first run and of each of the others differ.",
)
@json_option
def runs(runs: tuple[str, ...], *, chart: str | None, split: str | None, as_json: bool) -> None:
    """Compare runs: their results, and the options in which they differ.

    The metrics are those of the epoch whose weights are saved; of a run that is not finished, those
    of the last epoch.
    """
    from trainers.comparison import runs as compare

    if split is not None:
        output.start_backend(output.ignore)
    compared = compare(runs, chart=chart, split=split, on_message=output.log)
    print_result(compared, compared.lines(), as_json=as_json)
