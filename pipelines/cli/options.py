"""What the commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

HELP = {"help_option_names": ["-h", "--help"]}
_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
    click.option("--quiet", is_flag=True, help="Print nothing but errors."),
    click.option(
        "--runner",
        default="local",
        show_default=True,
        help="local, flink, spark, prism, dataflow, or a runner of Beam's by name.",
    ),
    click.argument("beam_flags", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM FLAGS]"),
)


def report_and_runner(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that writes a dataset: how it tells of it, and where it runs."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
