"""The command `remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options import HELP, job_options
from records.cli.option_groups import GroupedCommand, option_group
from records.cli.output import processes_option
from records.cli.params import Location

if TYPE_CHECKING:
    from pipelines.edit.report import EditReport
    from records.runtime.shard_worker import OnProgress

_EPILOG = """\b
Examples:
  shardmill remove data/ --keys keys.txt
  shardmill remove data/ --where "class == 'cat' and width < 100"

Exit codes: 0 done or nothing to do, 2 usage error, 66 no finished dataset, a
key not found, or damaged, 69 the engine failed, 73 the dataset cannot be
written to, 74 storage failed, 75 dataset in use by another run.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@option_group(
    "Images",
    click.option(
        "--keys",
        type=Location(),
        metavar="FILE",
        help="File with the keys of the images to remove, one per line; - is stdin.",
    ),
    click.option(
        "--where",
        metavar="CONDITION",
        help="Condition of the images to remove. It compares class, label, split, key, width,"
        " height, channels, format, source_bytes, stored_bytes or a kept column with ==, !=, <, <=,"
        " >, >= and in, and combines comparisons with and, or and not.",
    ),
    click.option(
        "--ignore-missing",
        is_flag=True,
        help="Accept keys that the dataset does not have.",
    ),
)
@job_options(
    processes_option,
    click.option("--dry-run", is_flag=True, help="Report what would be removed; write nothing."),
    metrics=False,
)
def remove(
    *,
    keys: str | None,
    as_json: bool,
    quiet: bool,
    runner: str,
    beam_flags: tuple[str, ...],
    **given: Any,
) -> None:
    """Remove images from DATASET, in a new generation.

    Shards with such an image are written again without it. Every reader immediately skips the
    removed images. The old shards remain for earlier generations; the report lists these shards,
    and the command that removes them. To resume an interrupted run, run the same command again.
    """
    from pipelines.cli.edits import read_given, run_edit
    from pipelines.edit import remove as remove_images
    from pipelines.edit.selection import parse_keys
    from records.runtime.shard_worker import RunnerConfig

    def run(on_progress: OnProgress) -> EditReport:
        return remove_images(
            keys=None if keys is None else parse_keys(*read_given(keys)),
            runner=RunnerConfig(runner, beam_flags),
            on_progress=on_progress,
            **given,
        )

    run_edit("removing", run, as_json=as_json, quiet=quiet)
