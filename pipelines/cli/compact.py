"""The command `compact`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options import HELP, job_options
from records.cli.option_groups import GroupedCommand
from records.cli.output import processes_option
from records.cli.params import Location

if TYPE_CHECKING:
    from pipelines.report import Report
    from records.runtime.shard_worker import OnProgress

_EPILOG = """\b
Example:
  shardmill compact data/ compacted/

Exit codes: 0 done or nothing to do, 2 usage error, 66 no finished dataset, or
damaged, 69 the engine failed, 73 output cannot be written, or contains other
files with the names of dataset files, 74 storage failed, 75 output in use by
another run, 77 access is denied.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.argument("output", type=Location())
@job_options(
    processes_option,
    click.option("--dry-run", is_flag=True, help="Report what would be written; write nothing."),
)
def compact(
    *,
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
    """
    from pipelines.cli.output import Shown, run_with_progress
    from pipelines.compact import compact as write_compacted
    from records.runtime.shard_worker import RunnerConfig

    def run(on_progress: OnProgress) -> Report:
        config = RunnerConfig(runner, beam_flags)
        return write_compacted(**given, runner=config, on_progress=on_progress)

    run_with_progress("compacting", run, given["output"], Shown(metrics, as_json, quiet))
