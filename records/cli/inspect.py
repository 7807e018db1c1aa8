"""The command `inspect`."""

from __future__ import annotations

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import check_png_path, json_option, print_result, write_picture

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill inspect data/
  shardmill inspect data/ --grid sheet.png
  shardmill inspect train.tfrecord --limit 1000

Exit codes: 0 done, 66 dataset or file not found.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Maximum number of records to read from a file.",
)
@click.option(
    "--grid", metavar="FILE.png", help="File for a contact sheet with some images of each class."
)
@json_option
def inspect(dataset: str, limit: int, grid: str | None, as_json: bool) -> None:
    """Show the contents of a dataset or a TFRecord file.

    DATASET is a dataset, or any TFRecord file: plain, GZIP or ZLIB, with Examples,
    SequenceExamples or other bytes in its records.
    """
    from records.inspection import inspect as inspect_path

    check_png_path(grid)
    inspected = inspect_path(dataset, limit=limit)
    if grid is not None:
        write_picture(grid, inspected.draw_grid())
    print_result(inspected.to_json(), inspected.lines(), as_json=as_json)
