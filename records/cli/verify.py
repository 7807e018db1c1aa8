"""The command `verify`."""

from __future__ import annotations

import click

from records.cli.output import json_option, print_facts

# Below the options, where a reader of --help looks last; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill verify data/
  shardmill verify data/ --decode --json > findings.json

Exit codes: 0 nothing found, 1 findings, 66 neither a dataset nor a file.
"""


@click.command(epilog=_EPILOG)
@click.argument("target")
@click.option("--decode", is_flag=True, help="Decode every image of a dataset too.")
@json_option
def verify(target: str, decode: bool, as_json: bool) -> None:
    """Check every checksum, count and size of a dataset.

    TARGET is a dataset, or one TFRecord file of anybody's. Each finding is a line: its kind, where
    it is, what is wrong. Reading goes on after it.
    """
    from records.runtime.progress import progress_bar, write_line
    from records.verification.text import Summary
    from records.verification.verify import check_files

    summary = Summary(target)
    with progress_bar("verifying", unit="B") as bar:
        for checked in check_files(target, decode=decode):
            summary.add(checked)
            bar.update(checked.size_bytes)
            for finding in [] if as_json else checked.findings:
                write_line(str(finding))
    print_facts(summary.facts(), [str(summary)], as_json=as_json)
    click.get_current_context().exit(1 if summary.findings else 0)
