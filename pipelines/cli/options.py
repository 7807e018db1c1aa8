"""Options and types that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from records.cli.option_groups import option_group
from records.cli.output import message_option, quiet_option
from records.cli.params import Location

HELP = {"help_option_names": ["-h", "--help"]}

_BEAM_FLAGS = click.argument(
    "beam_flags", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM FLAGS]"
)

_METRICS = click.option(
    "--metrics",
    type=Location(),
    metavar="FILE",
    help="File for the metrics of a successful run, for the textfile collector of Prometheus.",
)


def job_options(
    *options: Callable[[Any], Any], metrics: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options shared by commands that write a dataset.

    Args:
        options: additional options of the group `Run and report`; they come first.
        metrics: whether the command writes metrics.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        add_options: Callable[..., Callable[..., Any]] = option_group(
            "Run and report",
            *options,
            message_option,
            click.option(
                "--runner",
                metavar="NAME",
                default="local",
                show_default=True,
                help="Runner: local, flink, spark, prism, dataflow, or the name of a Beam runner.",
            ),
            *([_METRICS] if metrics else []),
            click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
            quiet_option,
        )
        return add_options(_BEAM_FLAGS(command))

    return add
