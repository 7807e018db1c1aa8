"""Output of the commands on stdout: text and JSON.

Only this module writes to stdout, so that every name in the output is escaped.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from records.arguments import Processes
from records.cli.params import Count, Location
from records.runtime.logging import log_line, set_quiet
from records.text.escaping import escape_for_display, escape_json

if TYPE_CHECKING:
    from records.verification.unfinished import UnfinishedRun


def _set_quiet(_context: click.Context, _parameter: click.Parameter, quiet: bool) -> bool:
    if quiet:
        set_quiet()
    return quiet


quiet_option = click.option("--quiet", is_flag=True, callback=_set_quiet, help="Print only errors.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
message_option = click.option(
    "--message",
    metavar="TEXT",
    help="Reason for the new generation; `shardmill log` shows it.",
)
describe_option = click.option(
    "--describe",
    type=Location(),
    metavar="FILE",
    help="TOML file with name, license, citation and so on of the dataset, for its metadata.",
)
processes_option = click.option(
    "--processes",
    type=Count(Processes),
    metavar="N",
    help="Number of processes.  [default: the number of cores, fewer for little work]",
)


def print_text(text: str) -> None:
    """Print lines of text to stdout; control and invisible characters in the lines are escaped."""
    click.echo("\n".join(map(escape_for_display, text.split("\n"))))


def print_json(value: Any) -> None:
    """Print a value to stdout as indented JSON."""
    import msgspec

    write_json(msgspec.json.format(msgspec.json.encode(value), indent=2))
    click.echo()


def write_json(content: bytes) -> None:
    """Write a part of a JSON document to stdout, with invisible characters escaped."""
    click.echo(escape_json(content), nl=False)


def note_unfinished(run: UnfinishedRun | None) -> None:
    """Log a note about the unfinished run of a dataset, if there is one."""
    if run is not None:
        log_line(str(run), level=logging.WARNING)


def print_result(result: Any, lines: list[str], *, as_json: bool) -> None:
    """Print a result to stdout, as text lines or as JSON."""
    if as_json:
        print_json(result)
    elif lines:
        print_text("\n".join(lines))
