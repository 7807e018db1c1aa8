"""The command `models`."""

from __future__ import annotations

import click

from records.cli.output import json_option, print_result

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill models
  shardmill models --json

Exit codes: 0 done, 2 usage error.
"""


@click.command(epilog=_EPILOG)
@json_option
def models(*, as_json: bool) -> None:
    """List the models of `train --model`.

    The table contains the default and the smallest size of the input in pixels, the number of
    parameters, the accuracy on ImageNet, the default learning rate, and whether Keras has
    downloaded the ImageNet weights.
    """
    from trainers.models.catalog import models as list_models

    listed = list_models()
    print_result(listed, listed.lines(), as_json=as_json)
