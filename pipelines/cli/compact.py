"""The command `compact`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options import HELP, job_options
from records.cli.option_groups import GroupedCommand, option_group
from records.cli.output import processes_option
from records.cli.params import Location

if TYPE_CHECKING:
    from pipelines.report import Report
    from records.runtime.shard_worker import OnProgress

_EPILOG = """\b
Examples:
  shardmill compact data/ compacted/
  shardmill compact data/ --in-place

Exit codes: 0 done or nothing to do, 2 usage error, 66 no finished dataset, or
damaged, 69 the engine failed, 73 output cannot be written, or contains other
files with the names of dataset files, 74 storage failed, 75 output in use by
another run.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.argument("output", type=Location(), required=False)
@option_group(
    "Output",
    click.option(
        "--in-place",
        is_flag=True,
        help="Write a new generation of DATASET instead of OUTPUT; earlier generations remain.",
    ),
)
@job_options(
    processes_option,
    click.option("--dry-run", is_flag=True, help="Report what would be written; write nothing."),
)
def compact(
    *,
    dataset: str,
    output: str | None,
    in_place: bool,
    as_json: bool,
    quiet: bool,
    metrics: str | None,
    runner: str,
    beam_flags: tuple[str, ...],
    **given: Any,
) -> None:
    """Copy all generations of DATASET into OUTPUT as one generation. DATASET is not changed.

    Records are copied without decoding. Records of an adopted dataset get the features of converted
    records, so OUTPUT can be appended to and edited. The new shards have their full size, and the
    records are in the order that a single conversion of all images would write. To resume an
    interrupted run, run the same command again. Other files in OUTPUT are kept.

    With --in-place, there is no OUTPUT: the same shards are a new generation of DATASET. Earlier
    generations can still be read, until prune removes them. The report lists the shards of earlier
    generations that contain removed images.
    """
    from pipelines.cli.output import Shown, run_with_progress
    from pipelines.compact import compact as write_compacted
    from records.runtime.shard_worker import RunnerConfig

    if in_place and output is not None and output.startswith("-"):
        beam_flags, output = (output, *beam_flags), None  # the first argument after --

    def run(on_progress: OnProgress) -> Report:
        return write_compacted(
            dataset,
            output,
            in_place=in_place,
            runner=RunnerConfig(runner, beam_flags),
            on_progress=on_progress,
            **given,
        )

    run_with_progress("compacting", run, output or dataset, Shown(metrics, as_json, quiet))
