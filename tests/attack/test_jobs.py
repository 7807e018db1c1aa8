"""Tests of the list of attacked commands."""

from __future__ import annotations

import click
import pytest

from records.cli.params import NewFile
from tests.attack.scene import JOBS
from tests.environments.commands import COMMANDS, ROOT

NOT_ATTACKED = {"serve"}
"""Commands that do not end: `tests/trainers/serving` attacks the server."""


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in NOT_ATTACKED])
def test_each_command_and_each_new_file_of_it_is_attacked(name: str) -> None:
    words = {word for job in JOBS if job.arguments[0] == name for word in job.arguments}
    assert words
    command = ROOT.get_command(click.Context(ROOT), name)
    assert command is not None
    options = [it.opts[0] for it in command.params if isinstance(it.type, NewFile)]
    assert words >= {*options}
