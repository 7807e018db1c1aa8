"""The command `sign`."""

from __future__ import annotations

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import json_option, print_result
from records.cli.params import Location

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  openssl genpkey -algorithm ed25519 -out key.pem
  openssl pkey -in key.pem -pubout -out key.pub
  shardmill sign data/ --key key.pem
  shardmill verify data/ --signature --key key.pub

Exit codes: 0 done, 2 not a private key, 66 dataset or key not found, 73 the
signature cannot be written, 75 another run is writing to the dataset.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset", type=Location())
@click.option(
    "--key",
    type=Location(),
    required=True,
    metavar="FILE",
    help="Private Ed25519 key in PEM.",
)
@json_option
def sign(dataset: str, key: str, as_json: bool) -> None:
    """Sign the present generation of a dataset.

    The signature, dataset.intoto.jsonl, covers the hashes of all files of the dataset. The
    files are not read: run `verify` first. If the key has a password, set
    SHARDMILL_KEY_PASSWORD.
    """
    from records.signatures import sign as run

    report = run(dataset, key=key)
    print_result(report, report.lines(), as_json=as_json)
