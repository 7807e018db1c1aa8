"""The command `extract`."""

from __future__ import annotations

import click

from pipelines.cli.options import HELP

_EPILOG = """\b
Example:
  shardmill extract data/ photos-again/
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset")
@click.argument("output")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def extract(dataset: str, output: str, quiet: bool) -> None:
    """Write the images of DATASET into folders: OUTPUT/SPLIT/CLASS/FILE."""
    from pipelines.cli.output import extract_with_progress

    extract_with_progress(dataset, output, quiet=quiet)
