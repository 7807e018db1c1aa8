"""The command `files`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import json_option, print_result
from records.cli.params import Location
from records.text.escaping import escape_for_display, escape_surrogates

if TYPE_CHECKING:
    from records.format.layout import SplitName

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill files data/ --split train
  shardmill files s3://bucket/data --json
  du -ch $(shardmill files data/)

Exit codes: 0 done, 2 split not found, 66 no finished dataset.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset", type=Location())
@click.option(
    "--split",
    type=click.Choice(["train", "test", "validation"]),
    help="List only the shards of this split.",
)
@json_option
def files(dataset: str, *, split: SplitName | None, as_json: bool) -> None:
    """List the shards of a dataset, of all generations, in stored order.

    Use the list in programs that read TFRecord files: a file pattern can miss generations, or match
    shards of an unfinished run. Each line is the absolute path or the URL of a
    shard.
    """
    from records.dataset import open_dataset
    from records.runtime.logging import log_line
    from records.text.formatting import pluralize

    opened = open_dataset(dataset)
    splits = list(opened) if split is None else [split]
    paths = {name: [*map(escape_surrogates, opened.files(name))] for name in splits}
    shards = [shard for name in splits for shard in opened[name].info.shards]
    if excluded := sum(shard.excluded_records for shard in shards):
        log_line(
            f"{opened.path}: {pluralize(excluded, 'record')} of these files are not part of the"
            " dataset: `adopt` excluded them"
        )
    lines = [escape_for_display(path) for found in paths.values() for path in found]
    print_result(paths, lines, as_json=as_json)
