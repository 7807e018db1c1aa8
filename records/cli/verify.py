"""The command `verify`."""

from __future__ import annotations

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import json_option, note_unfinished, print_result, processes_option
from records.cli.params import Location
from records.errors import UsageError

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill verify data/
  shardmill verify data/ --decode --json > findings.json
  shardmill verify data/ --signature --key key.pub

Exit codes: 0 no findings, 1 findings, 66 dataset or file not found.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset", type=Location())
@click.option("--decode", is_flag=True, help="Also decode every image of a dataset.")
@click.option(
    "--signature", is_flag=True, help="Also check that the key has signed exactly this dataset."
)
@click.option(
    "--key", type=Location(), metavar="FILE", help="Public Ed25519 key in PEM, for --signature."
)
@processes_option
@json_option
def verify(
    dataset: str,
    *,
    decode: bool,
    signature: bool,
    key: str | None,
    processes: int | None,
    as_json: bool,
) -> None:
    """Check every checksum, count and size of a dataset.

    DATASET is a dataset, or any single TFRecord file. Each finding is one line: kind, place and
    description. The checks continue after a finding.
    """
    from records.runtime.progress import progress_bar, write_line
    from records.verification import VerifyTotals, check_files

    if signature != (key is not None):
        raise UsageError(
            "--signature and --key need each other",
            hint="add --signature --key FILE, with the public key of the person who signed",
        )
    totals = VerifyTotals(dataset)
    with progress_bar("verifying", unit="B") as bar:
        for checked in check_files(dataset, decode=decode, processes=processes, key=key):
            totals.add(checked)
            bar.update(checked.size_bytes)
            note_unfinished(checked.unfinished)
            for finding in [] if as_json else checked.findings:
                write_line(str(finding))
    report = totals.report()
    print_result(report, report.lines(), as_json=as_json)
    click.get_current_context().exit(1 if report.findings else 0)
