"""Commands in forks of one process, killed on request."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_LEASE_SECONDS, _RENEW_SECONDS = 3.0, 0.5
_LOOK_SECONDS = 0.002
_COMMANDS = (
    "convert", "compact", "remove", "relabel", "rollback", "repair", "prune", "verify", "sign",
    "log", "diff", "files", "quality",
)  # fmt: skip


_MODULES = (
    "pyarrow.parquet", "pipelines.convert", "pipelines.compact", "pipelines.edit",
    "pipelines.repair", "records.history", "records.signatures", "records.quality",
)  # fmt: skip


class Ended(NamedTuple):
    """The exit status, the output and the duration in seconds of a command."""

    status: int
    output: str
    errors: str
    seconds: float


class Commands:
    """A process that runs commands one after the other.

    Args:
        folder: an empty folder for the output of commands.
        environment: additional environment variables of the commands.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, kill_after: float | None = None, kill_signal: int = signal.SIGKILL
    ) -> Ended:
        """Run a command to its end, or kill it after some seconds."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        case = {
            "arguments": arguments,
            "output": str(self._folder / "output"),
            "kill_after": kill_after,
            "signal": int(kill_signal),
        }
        stdin.write(json.dumps(case) + "\n")
        stdin.flush()
        return Ended(*json.loads(stdout.readline()))

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def running_commands(folder: Path, environment: Mapping[str, str]) -> Iterator[Commands]:
    """Run `Commands` in the block."""
    commands = Commands(folder, environment)
    try:
        yield commands
    finally:
        commands.stop()


def _run(case: dict[str, Any]) -> Ended:
    paths = [Path(f"{case['output']}.{number}") for number in (1, 2)]
    for path in paths:
        path.write_bytes(b"")
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _run_child(case["arguments"], paths)
    status = _wait(child, started, case["kill_after"], case["signal"])
    texts = [path.read_text("utf-8", "replace") for path in paths]
    return Ended(status, texts[0], texts[1], time.monotonic() - started)


def _run_child(arguments: list[str], paths: list[Path]) -> None:
    import shardmill.cli

    code = 250  # not a code of the command line
    try:
        for descriptor, path in enumerate(paths, 1):
            opened = os.open(path, os.O_WRONLY)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.argv = ["shardmill", *arguments]
        shardmill.cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _wait(child: int, started: float, kill_after: float | None, kill_signal: int) -> int:
    """Wait for a child; send it a signal after some seconds."""
    if kill_after is not None:
        while time.monotonic() < started + kill_after:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(_LOOK_SECONDS)
        os.kill(child, kill_signal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _main() -> None:
    import click

    import shardmill.cli
    from records.storage.remote import lease

    lease.LEASE_SECONDS, lease.RENEW_SECONDS = _LEASE_SECONDS, _RENEW_SECONDS
    root = shardmill.cli.shardmill
    for name in _COMMANDS:
        root.get_command(click.Context(root), name)
    for module in _MODULES:
        importlib.import_module(module)
    for line in sys.stdin:
        result = _run(json.loads(line))
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
