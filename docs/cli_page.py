"""Writes docs/cli.md from the commands' own help: `python docs/cli_page.py [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shardmill.cli import shardmill

PAGE = Path(__file__).with_name("cli.md")
_INTRODUCTION = """# Command line

What each command says of itself with `--help`; made from there by `make docs`.

Errors are one line on stderr; `--verbose`, anywhere in the command, adds the trace. `--json` puts
JSON alone on stdout, progress goes to stderr: a bar on a terminal, a line a minute in a log.
`--log-format json`, anywhere too, makes every line on stderr a JSON object
([what is in it](incremental.md#the-log)).

| status | meaning |
| --- | --- |
| 0 | done, or nothing to do |
| 1 | findings: `verify` of damage, `doctor` of a GPU that is there and not used |
| 2 | usage: the command cannot mean what was asked |
| 65 | more images were rejected than allowed |
| 66 | no input, or no finished dataset |
| 69 | the engine failed: no job server, worker pool, workers, or one was lost |
| 70 | a bug of ours |
| 73 | the target cannot be written: full, read-only, taken |
| 74 | storage failed, also after retries |
| 75 | in use by another run; try later |
| 130, 143 | interrupted, terminated |
"""


def page() -> str:
    """The whole page."""
    context = click.Context(shardmill, info_name="shardmill", terminal_width=88)
    parts = [_INTRODUCTION]
    for name in shardmill.list_commands(context):
        command = shardmill.get_command(context, name)
        if command is None:
            raise LookupError(name)
        inner = click.Context(command, info_name=name, parent=context, terminal_width=88)
        parts.append(f"## {name}\n\n```\n{command.get_help(inner)}\n```\n")
    return "\n".join(parts)


def main() -> None:
    """Write the page, or with `--check` say whether it is as it should be."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        sys.exit("docs/cli.md is not what the commands say of themselves; run `make docs`")


if __name__ == "__main__":
    main()
