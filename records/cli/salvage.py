"""The command `salvage`."""

from __future__ import annotations

import click

from records.cli.output import json_option, print_facts

# Below the options, where a reader of --help looks last; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill salvage data/train-00003-of-00008.tfrecord whole.tfrecord
  shardmill salvage train.record whole.record --json > lost.json

Exit codes: 0 nothing lost, 1 something lost, 66 no such file, 73 OUT cannot be written.
"""


@click.command(epilog=_EPILOG)
@click.argument("shard")
@click.argument("out")
@click.option("--dry-run", is_flag=True, help="Say what is lost, and write nothing.")
@json_option
def salvage(shard: str, out: str, dry_run: bool, as_json: bool) -> None:
    """Copy every whole record of a damaged TFRecord file into a new one.

    SHARD is a file of a dataset or of anybody's: plain, GZIP or ZLIB. The index beside it, if there
    is one, names what is lost. OUT is a new file, there whole or not at all; SHARD stays as it is.
    """
    from records.runtime.progress import progress_bar
    from records.salvage.report import show_salvage
    from records.salvage.salvage import salvage as copy_whole_records

    with progress_bar("reading", unit="B") as bar:
        report = copy_whole_records(shard, out, dry_run=dry_run, on_bytes=bar.update)
    print_facts(report, show_salvage(report), as_json=as_json)
    click.get_current_context().exit(1 if report.lost else 0)
