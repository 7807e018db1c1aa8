"""The command `extract`."""

from __future__ import annotations

import click

from pipelines.cli.options import HELP, QUIET

_EPILOG = """\b
Example:
  shardmill extract data/ photos-again/
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset")
@click.argument("output")
@QUIET
def extract(dataset: str, output: str, quiet: bool) -> None:
    """Write the images of DATASET to folders: OUTPUT/SPLIT/CLASS/FILE."""
    from pipelines.cli.output import extract_with_progress

    extract_with_progress(dataset, output, quiet=quiet)
