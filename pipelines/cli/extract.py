"""The command `extract`."""

from __future__ import annotations

import click

from pipelines.cli.options import HELP
from records.cli.output import json_option, processes_option, quiet_option
from records.cli.params import Location

_EPILOG = """\b
Example:
  shardmill extract data/ photos-again/
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.argument("output", type=Location())
@processes_option
@json_option
@quiet_option
def extract(dataset: str, output: str, processes: int | None, as_json: bool, quiet: bool) -> None:
    """Write the images of DATASET to folders: OUTPUT/SPLIT/CLASS/FILE.

    If an image has any number of labels, there are no class folders. For such a dataset, and for a
    dataset that keeps columns, OUTPUT/SPLIT/metadata.jsonl contains the labels and the columns.
    The command that converts the images again is printed.
    """
    from pipelines.cli.output import extract_with_progress

    extract_with_progress(dataset, output, processes, as_json=as_json, quiet=quiet)
