"""Runs many commands in forks of one process that has imported the command line.

Reads a JSON list of cases from stdin, and prints a JSON list of results. A fork has the descriptors
and the streams of `sys` that Python would give a new process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

import shardmill.cli

_OPENERS = {"null": (os.devnull, os.O_RDWR), "full": ("/dev/full", os.O_WRONLY)}


def _set_descriptor(descriptor: int, state: str, file: str) -> None:
    if state == "closed":
        os.close(descriptor)
        return
    if state == "broken":
        reading, opened = os.pipe()
        os.close(reading)
    elif state == "file":
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    else:
        opened = os.open(*_OPENERS[state])
    os.dup2(opened, descriptor)
    os.close(opened)


def _run_child(case: dict[str, Any]) -> None:
    os.environ.update(case["variables"])
    sys.argv = ["shardmill", *case["arguments"]]
    for descriptor, state in enumerate(case["descriptors"]):
        _set_descriptor(descriptor, state, case["output"] + str(descriptor))
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if case["descriptors"][descriptor] == "closed":
            setattr(sys, name, None)
        elif descriptor:
            setattr(sys, name, open(descriptor, "w", closefd=False))  # noqa: SIM115
    shardmill.cli.main()


def _run(case: dict[str, Any]) -> dict[str, Any]:
    child = os.fork()
    if child == 0:
        code = 250  # not a code of the command line
        try:
            _run_child(case)
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    written = [Path(case["output"] + str(number)) for number in (1, 2)]
    texts = [path.read_text("utf-8") if path.exists() else "" for path in written]
    return {"status": os.waitstatus_to_exitcode(status), "stdout": texts[0], "stderr": texts[1]}


def _import_commands() -> None:
    root = shardmill.cli.shardmill
    for name in (
        "convert",
        "remove",
        "relabel",
        "repair",
        "inspect",
        "verify",
        "sign",
        "log",
        "diff",
        "files",
        "salvage",
        "adopt",
        "stats",
        "quality",
        "report",
        "models",
    ):
        root.get_command(click.Context(root), name)
    modules = ("pyarrow.parquet", "matplotlib.figure", "records.stats", "records.verification")
    for module in modules:
        importlib.import_module(module)


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    _import_commands()
    sys.stdout.write(json.dumps([_run(case) for case in cases]))
