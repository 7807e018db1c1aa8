"""The command `clean`."""

from __future__ import annotations

import click

from pipelines.cli.options import HELP

_EPILOG = """\b
Example:
  shardmill clean data/
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("output")
@click.option("--dry-run", is_flag=True, help="Report what would be removed; remove nothing.")
def clean(output: str, dry_run: bool) -> None:
    """Remove the files of an unfinished run from OUTPUT. A finished dataset is not changed."""
    from pipelines.clean import clean as clean_output
    from records.text.formatting import format_bytes, pluralize

    cleaned = clean_output(output, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    click.echo(f"{verb} {pluralize(cleaned.files, 'file')}, {format_bytes(cleaned.size_bytes)}")
