"""The command `repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options import HELP, class_options, source_options
from records.cli.option_groups import GroupedCommand, option_group
from records.cli.output import json_option, print_result
from records.cli.params import Location

if TYPE_CHECKING:
    from pipelines.options import ConvertOptions

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill repair data/ photos/ --dry-run
  shardmill repair data/ photos/
  shardmill repair s3://bucket/data s3://bucket/photos --list labels.csv

Exit codes: 0 repaired or nothing to repair, 1 a file cannot be repaired, 2
usage error, 66 no finished dataset or no source, or the manifest is damaged, 73
the dataset cannot be written to, 74 storage failed, 75 dataset in use by
another run.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.argument("source", type=Location())
@source_options
@class_options
@option_group(
    "Run and report",
    click.option(
        "--max-file-mb",
        type=int,
        metavar="MB",
        help="Maximum size in megabytes of the files of SOURCE, if convert had another one than"
        " 1000.",
    ),
    click.option("--dry-run", is_flag=True, help="Report what would be repaired; write nothing."),
    json_option,
)
def repair(dataset: str, source: str, *, as_json: bool, **given: Any) -> None:
    """Make the damaged files of DATASET again, from SOURCE.

    SOURCE is the source of the dataset, with the options that describe it as for convert. Every
    generation is checked. Intact records of a damaged shard are kept; the others are made again
    from unchanged files of SOURCE. A file is replaced only if the result has the size and the hash
    in the manifest. To resume an interrupted run, run the same command again.
    """
    from pipelines.repair import repair as run
    from records.runtime.progress import progress_callback

    options = _options(dataset, source, given)
    with progress_callback("repairing", unit="B", quiet=False) as on_progress:
        report = run(options, on_progress)
    print_result(report, report.lines(), as_json=as_json)
    click.get_current_context().exit(1 if report.status == "incomplete" else 0)


def _options(dataset: str, source: str, given: dict[str, Any]) -> ConvertOptions:
    from pipelines.repair import make_options

    given["list"] = given.pop("list_")
    return make_options(dataset, source, {k: v for k, v in given.items() if v is not None})
