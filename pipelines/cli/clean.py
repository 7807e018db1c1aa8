"""The command `clean`."""

from __future__ import annotations

import click

from pipelines.cli.options import HELP
from records.cli.output import json_option, print_json, print_text
from records.cli.params import Location

_EPILOG = """\b
Example:
  shardmill clean data/

Exit codes: 0 done, 66 no unfinished run found, 75 output in use by another run.
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("output", type=Location())
@click.option("--dry-run", is_flag=True, help="Report what would be removed; remove nothing.")
@json_option
def clean(output: str, dry_run: bool, as_json: bool) -> None:
    """Remove the files of an unfinished run from OUTPUT. A finished dataset is not changed.

    A file that the run did not write, or that was changed since, is kept.
    """
    from pipelines.clean import clean as clean_output
    from records.text.formatting import format_bytes, pluralize

    cleaned = clean_output(output, dry_run=dry_run)
    if as_json:
        print_json({**cleaned._asdict(), "dry_run": dry_run})
        return
    verb = "would remove" if dry_run else "removed"
    print_text(f"{verb} {pluralize(cleaned.files, 'file')}, {format_bytes(cleaned.size_bytes)}")
