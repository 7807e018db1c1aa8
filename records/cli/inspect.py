"""The command `inspect`."""

from __future__ import annotations

import click

from records.arguments import Positive
from records.cli.option_groups import GroupedCommand
from records.cli.output import json_option, note_unfinished, print_result
from records.cli.params import Count, Location, NewFile

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill inspect data/
  shardmill inspect data/ --grid sheet.png
  shardmill inspect train.tfrecord --limit 1000

Exit codes: 0 done, 66 dataset or file not found.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset", type=Location())
@click.option(
    "--limit",
    type=Count(Positive),
    default=100,
    show_default=True,
    metavar="N",
    help="Maximum number of records to read from a file.",
)
@click.option(
    "--grid",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="New file for a contact sheet with some images of each class.",
)
@json_option
def inspect(dataset: str, limit: int, grid: str | None, as_json: bool) -> None:
    """Show the contents of a dataset or a TFRecord file.

    DATASET is a dataset, or any TFRecord file: plain, GZIP or ZLIB, with Examples,
    SequenceExamples or other bytes in its records.
    """
    from records.inspection import DatasetInspection
    from records.inspection import inspect as inspect_path
    from records.storage.exclusive import write_new_file
    from records.verification.unfinished import find_unfinished

    inspected = inspect_path(dataset, limit=limit)
    if isinstance(inspected, DatasetInspection):
        note_unfinished(find_unfinished(inspected.dataset.storage)[0])
    if grid is not None:
        write_new_file(grid, inspected.draw_grid())
    print_result(inspected.to_json(), inspected.lines(), as_json=as_json)
