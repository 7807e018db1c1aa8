"""The command line as a whole: the help text of every option of every command."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

import shardmill.cli
from records.runtime.storage_patience import VARIABLE

ROOT = shardmill.cli.shardmill
PREPOSITIONS = {"as", "at", "by", "for", "from", "in", "of", "on", "over", "such", "to", "with"}


def list_options() -> list[tuple[str, click.Option]]:
    context = click.Context(ROOT)
    found = []
    for name in ROOT.list_commands(context):
        command = ROOT.get_command(context, name)
        assert command is not None
        found += [(name, option) for option in command.params if isinstance(option, click.Option)]
    return found


@pytest.mark.parametrize(
    ("command", "option"),
    [pytest.param(*it, id=f"{it[0]}{it[1].opts[0]}") for it in list_options()],
)
def test_option_help_ends_with_a_full_stop_and_names_its_subject(
    command: str, option: click.Option
) -> None:
    text = option.help or ""
    assert text.endswith((".", "]")), (command, text)
    first, _, rest = text.partition(" ")
    condition, comma, _ = rest.partition(",")
    is_condition = bool(comma) and ":" not in condition  # "With --append, also add new classes."
    assert is_condition or first.lower() not in PREPOSITIONS, text


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("given", [("--storage-patience", "10min"), ("--storage-patience=10min",)])
def test_storage_patience_that_is_not_a_duration_is_a_usage_error(
    place: str, given: tuple[str, ...]
) -> None:
    command = (*given, "verify", "no") if place == "before" else ("verify", "no", *given)
    ended = subprocess.run(
        [sys.executable, "-m", "shardmill", *command], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("shardmill: invalid duration, expected a number of s, m, h or d")
    assert ended.stderr.count("\n") == 1


def test_storage_patience_is_set_for_child_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1m")
    with pytest.raises(SystemExit):
        ROOT.main(["--storage-patience", "90s", "verify", "--help"])
    assert os.environ[VARIABLE] == "90s"


_IMPORT_INTERRUPTED = """
import shardmill.cli

class Field:
    def __set_name__(self, owner, name):
        raise {interrupt}

def run(**_):
    type("Library", (), {{"field": Field()}})  # Python 3.11 raises RuntimeError instead

shardmill.cli.shardmill.main = run
shardmill.cli.main()
"""


@pytest.mark.parametrize(
    ("interrupt", "code"), [("KeyboardInterrupt", 130), ("SystemExit(143)", 143)]
)
def test_signal_during_an_import_ends_with_its_exit_code(interrupt: str, code: int) -> None:
    program = _IMPORT_INTERRUPTED.format(interrupt=interrupt)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert "internal error" not in ended.stderr
