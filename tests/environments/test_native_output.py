"""Lines that C libraries write to stderr, and their last words when they crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, sys
import shardmill.cli as cli
from records.runtime.logging import log_line, set_log_format

def run():
    if "json" in " ".join(sys.argv):
        set_log_format("json")
    os.write(2, b"native \\xff line\\nlast")
    log_line("from the log", level=40)
    if "die" in sys.argv:
        os.abort()
    return 3

cli._run = run
cli.main()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("flags", [("--log-format", "json"), ("--log-format=json",)])
def test_native_output_json_log_consists_of_json_lines(flags: tuple[str, ...]) -> None:
    ended = run("convert", *flags)
    assert ended.returncode == 3
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    native = [line["message"] for line in lines if line["logger"] == "native"]
    assert native == ["native \\xff line", "last"]
    assert {"from the log", "ended"} <= {line["message"] for line in lines}


def test_native_output_quiet_is_hidden() -> None:
    ended = run("convert", "--quiet")
    assert (ended.returncode, ended.stderr) == (3, "shardmill: from the log\n")


def test_native_output_quiet_json_log_has_no_native_lines() -> None:
    ended = run("convert", "--quiet", "--log-format=json")
    loggers = {json.loads(line)["logger"] for line in ended.stderr.splitlines()}
    assert (ended.returncode, "native" in loggers) == (3, False)


@pytest.mark.parametrize(
    "flags", [("--quiet",), ("--log-format=json",), ("--quiet", "--log-format=json")]
)
def test_native_output_crash_shows_last_words(flags: tuple[str, ...]) -> None:
    ended = run("die", *flags)
    assert ended.returncode == -signal.SIGABRT
    assert "native" in ended.stderr
    assert "last" in ended.stderr
