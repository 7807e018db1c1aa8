"""The command `diff`."""

from __future__ import annotations

import click

from records.cli.output import json_option, print_result
from records.cli.params import Location, NewFile

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill diff data@3 data@5
  shardmill diff data/ s3://bucket/data --csv changes.csv --plot shift.png

Exit codes: 0 done, also with differences, 66 no finished dataset.
"""


@click.command(epilog=_EPILOG)
@click.argument("a", type=Location(), metavar="DATASET")
@click.argument("b", type=Location(), metavar="OTHER")
@click.option(
    "--csv",
    type=NewFile(),
    metavar="FILE",
    help="New file for all records that differ, one row each.",
)
@click.option(
    "--plot",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="New file for charts of class shares and image sizes.",
)
@json_option
def diff(a: str, b: str, *, csv: str | None, plot: str | None, as_json: bool) -> None:
    """Compare DATASET with OTHER, such as two generations of a dataset.

    Records are compared by key: added, removed, relabelled, moved to another split, modified, or
    updated (a kept column has another value). The distributions of classes, formats and sizes are
    compared, too. Only indexes are read.
    """
    from records.history import diff as compare
    from records.runtime.extras import check_extra
    from records.storage.exclusive import open_new_file, write_new_file

    if plot is not None:
        check_extra("matplotlib", "plot")
    found = compare(a, b)
    if csv is not None:
        with open_new_file(csv) as file:
            file.writelines(found.csv_rows())
    if plot is not None:
        write_new_file(plot, found.draw())
    print_result(found.summary, found.lines(), as_json=as_json)
