"""The command `rollback`."""

from __future__ import annotations

import click

from pipelines.cli.options import HELP
from records.arguments import Positive
from records.cli.output import json_option, message_option, print_result
from records.cli.params import Count, Location

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill rollback data/
  shardmill rollback data/ --to 3 --message "the labels of May were wrong"

Exit codes: 0 done or nothing to do, 2 the dataset never had the generation, 66
no finished dataset, or the generation was pruned, 73 an unfinished run of
another command, or the dataset cannot be written to, 75 in use by another run.
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.option(
    "--to",
    type=Count(Positive),
    metavar="N",
    help="Number of the earlier generation.  [default: the one before the present one]",
)
@message_option
@click.option("--dry-run", is_flag=True, help="Report what would be done; write nothing.")
@json_option
def rollback(
    dataset: str, *, to: int | None, message: str | None, dry_run: bool, as_json: bool
) -> None:
    """Publish a new generation of DATASET that has the records of an earlier one.

    No shard is written, and no file is removed, so a rollback can be rolled back. If DATASET has
    these records already, nothing is done.
    """
    from pipelines.rollback import rollback as roll_back

    report = roll_back(dataset, to=to, message=message, dry_run=dry_run)
    print_result(report, report.lines(), as_json=as_json)
