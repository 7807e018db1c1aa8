"""Generator of the command line page from `--help`: `python docs/scripts/cli_page.py [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shardmill.cli import shardmill

PAGE = Path(__file__).parents[1] / "reference" / "command-line.md"
_INTRODUCTION = """# Command line

This page contains the `--help` of each command. `make pages` generates it.

An error is one line on stderr. With `--json`, stdout contains only JSON. Progress goes to stderr:
as a bar on a terminal, as one line per minute in a log.

These options are valid anywhere in a command:

- `--verbose`: errors have a traceback.
- `--log-format json`: each line on stderr is a JSON object
  ([fields](../how-to/incremental-conversion.md#the-log)).
- `--storage-patience 10m`: the time for which a command waits for a store that does not answer
  ([patience](stores.md#patience)).

| status | meaning |
| --- | --- |
| 0 | done, or nothing to do |
| 1 | findings: `verify` found damage, `convert --quarantine` had too many rejects, … |
| 2 | usage: an option or argument is invalid |
| 9 | `convert --error-on-no-new-images` stored no image |
| 65 | more images were rejected than allowed |
| 66 | no input, no finished dataset, or access is denied |
| 69 | the engine failed: no job server, worker pool or worker, or one was lost |
| 70 | a bug in shardmill |
| 73 | the output cannot be written: full, read-only, or a file exists that must be kept |
| 74 | storage failed after retries |
| 75 | in use by another run; try later |
| 130, 143 | interrupted, terminated |
"""


def page() -> str:
    """Return the page as Markdown."""
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
    """Write the page; with `--check`, exit with an error if it is outdated."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        sys.exit("docs/reference/command-line.md is outdated; run `make pages`")


if __name__ == "__main__":
    main()
