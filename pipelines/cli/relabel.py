"""The command `relabel`."""

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
Example:
  shardmill relabel data/ corrected.csv

Exit codes: 0 done or nothing to do, 2 usage error, 66 no finished dataset, a
key not found, or damaged, 69 the engine failed, 73 the dataset cannot be
written to, 74 storage failed, 75 dataset in use by another run.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.argument("file", type=Location())
@option_group(
    "Corrections",
    click.option(
        "--path-column",
        metavar="NAME",
        help="Column of the keys; found by its name by default, such as key or path.",
    ),
    click.option(
        "--label-column",
        metavar="NAME",
        help="Column of the classes; found by its name by default, such as label or class.",
    ),
    click.option(
        "--label-separator",
        metavar="TEXT",
        help="Text between several classes of an image, such as '|'.",
    ),
    click.option(
        "--allow-new-classes",
        is_flag=True,
        help="Add classes that the dataset does not have after the existing classes.",
    ),
    click.option(
        "--ignore-missing",
        is_flag=True,
        help="Accept keys that the dataset does not have.",
    ),
)
@job_options(
    processes_option,
    click.option("--dry-run", is_flag=True, help="Report what would be changed; write nothing."),
    metrics=False,
)
def relabel(
    *,
    dataset: str,
    file: str,
    path_column: str | None,
    label_column: str | None,
    label_separator: str | None,
    as_json: bool,
    quiet: bool,
    runner: str,
    beam_flags: tuple[str, ...],
    **given: Any,
) -> None:
    """Change the classes of images of DATASET, in a new generation.

    FILE is a list in CSV, TSV, JSON or Parquet, as for convert --list, with the key and the class
    of each image to change; - is stdin. Splits do not change. Shards with such an image are written
    again. To resume an interrupted run, run the same command again.
    """
    from pipelines.cli.edits import read_given, run_edit
    from pipelines.edit import relabel as relabel_images
    from pipelines.edit.corrections import parse_corrections
    from pipelines.options import ConvertOptions
    from records.runtime.shard_worker import RunnerConfig

    def run(on_progress: OnProgress) -> EditReport:
        columns = ConvertOptions(
            source=dataset,
            output=dataset,
            path_column=path_column,
            label_column=label_column,
            label_separator=label_separator,
        )
        return relabel_images(
            dataset,
            parse_corrections(*read_given(file), columns),
            runner=RunnerConfig(runner, beam_flags),
            on_progress=on_progress,
            **given,
        )

    run_edit("relabelling", run, as_json=as_json, quiet=quiet)
