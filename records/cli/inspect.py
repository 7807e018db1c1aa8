"""The command `inspect`."""

from __future__ import annotations

import click

from records.cli.output import check_picture, json_option, print_facts, write_picture

# Below the options, where a reader of --help looks last; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill inspect data/
  shardmill inspect data/ --grid sheet.png
  shardmill inspect train.tfrecord --limit 1000

Exit codes: 0 done, 66 neither a dataset nor a file.
"""


@click.command(epilog=_EPILOG)
@click.argument("target")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="How many records of a file to look at.",
)
@click.option("--grid", metavar="OUT.png", help="Draw some images of each class.")
@json_option
def inspect(target: str, limit: int, grid: str | None, as_json: bool) -> None:
    """Show what a TFRecord file or a dataset holds.

    TARGET is a dataset, or one TFRecord file of anybody's: plain, GZIP or ZLIB, with Examples,
    SequenceExamples or other bytes in its records.
    """
    from records.inspection import inspect

    check_picture(grid)
    inspected = inspect.inspect(target, limit=limit)
    if grid is not None:
        write_picture(grid, inspected.draw_grid())
    print_facts(inspected.facts(), inspected.lines(), as_json=as_json)
