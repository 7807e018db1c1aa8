"""Options and types that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from records.cli.option_groups import option_group
from records.cli.output import message_option, quiet_option
from records.cli.params import Location

HELP = {"help_option_names": ["-h", "--help"]}


def _parse_names(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """Parse names that are separated by commas."""
    if text is None:
        return None
    names = tuple(name for name in text.split(",") if name)
    if not names:
        raise click.BadParameter(f"must be names separated by commas, got {text!r}")
    return names


def empty_to_none(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> Any:
    """Return None for an option that was not given."""
    return values or None


_BEAM_FLAGS = click.argument(
    "beam_flags", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM FLAGS]"
)

_METRICS = click.option(
    "--metrics",
    type=Location(),
    metavar="FILE",
    help="File for the metrics of a successful run, for the textfile collector of Prometheus.",
)

source_options = option_group(
    "Source",
    click.option(
        "--list",
        "list_",
        type=Location(),
        metavar="FILE",
        help="Use the images listed in a CSV, TSV, JSON or Parquet file; its columns are found"
        " by their names, and paths are relative to SOURCE.",
    ),
    click.option(
        "--image-folder",
        type=Location(),
        metavar="FOLDER",
        help="Folder below SOURCE that contains the images of the list.",
    ),
    click.option(
        "--path-column",
        metavar="NAME",
        help="Column of the list with paths, or with names or IDs of images.",
    ),
    click.option(
        "--label-column",
        metavar="NAME|none",
        help="Column with labels, of the list or of containers with images; one-hot columns are"
        " separated by commas; none: all images have one class.",
    ),
    click.option(
        "--split-column", metavar="NAME|none", help="Column of the list with splits, or none."
    ),
    click.option(
        "--group-column", metavar="NAME|none", help="Column of the list with groups, or none."
    ),
    click.option(
        "--target-column",
        metavar="NAME",
        help="Column with a number per image, of the list or of containers with images, for train"
        " --target; it is kept, and the images need no labels.",
    ),
    click.option(
        "--multi-label",
        is_flag=True,
        help="Store any number of labels per image: from multi-hot columns, rows with several"
        " labels, or several rows per image.",
    ),
    click.option(
        "--label-separator",
        metavar="TEXT",
        help="Separator of the labels in a cell, such as '|'; implies --multi-label.",
    ),
    click.option(
        "--keep-columns",
        metavar="all|none|a,b,…",
        help="Columns of the list, or of containers with images, whose values the records keep."
        "  [default: none]",
    ),
    click.option(
        "--layout",
        type=click.Choice(["auto", "classes", "splits"]),
        default="auto",
        show_default=True,
        help="Kind of the top folders: classes, or splits that contain class folders.",
    ),
    click.option(
        "--exclude",
        type=Location(),
        metavar="FILE",
        help="Exclude the images whose keys this file lists, one per line (see stats --keys).",
    ),
    click.option(
        "--follow-symlinks",
        is_flag=True,
        help="Also read the targets of links that lead out of SOURCE.",
    ),
    click.option(
        "--allow-url", is_flag=True, help="Allow file, memory, s3, gs and az URLs in the list."
    ),
)
class_options = option_group(
    "Classes",
    click.option(
        "--classes",
        callback=_parse_names,
        metavar="a,b,…",
        help="Use only the images of these classes.",
    ),
    click.option(
        "--labels",
        type=Location(),
        metavar="FILE",
        help="Number the classes as in this label map.",
    ),
    click.option(
        "--map",
        multiple=True,
        callback=empty_to_none,
        type=Location(),
        metavar="OLD=NEW|FILE",
        help="Rename or merge classes; OLD= drops a class. FILE has a pair per line. Repeatable.",
    ),
    click.option(
        "--leaf-class", is_flag=True, help="Take the innermost folder of each image as its class."
    ),
)


def job_options(
    *options: Callable[[Any], Any], metrics: bool = True, message: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options shared by commands that write a dataset.

    Args:
        options: additional options of the group `Run and report`; they come first.
        metrics: whether the command writes metrics.
        message: whether the command publishes a generation, for which a message gives the reason.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        add_options: Callable[..., Callable[..., Any]] = option_group(
            "Run and report",
            *options,
            *([message_option] if message else []),
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
