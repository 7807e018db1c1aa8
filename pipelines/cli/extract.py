"""The command `extract`."""

from __future__ import annotations

import click

from pipelines.cli.options import HELP

_EPILOG = """\b
Example:
  shardmill extract data/ photos-again/
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("target")
@click.argument("out")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def extract(target: str, out: str, quiet: bool) -> None:
    """Write the images of the dataset TARGET into folders: OUT/SPLIT/CLASS/FILE."""
    from pipelines.cli.output import extract_with_progress

    extract_with_progress(target, out, quiet=quiet)
