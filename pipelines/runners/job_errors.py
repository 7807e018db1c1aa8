"""What an engine says when a job fails, pages of traces in two languages, as one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from records import errors
from records.errors import RunnerError, ShardmillError

_SHOWN_CHARACTERS = 300
_AGAIN = "run the same command again: it goes on where this one ended"
_WHEEL = "install shardmill's wheel (`make wheel`) for the `python` that workers are started with"
_SHARDMILL_ERROR = re.compile(r"\brecords\.errors\.(\w+): (.+?)(?: \[while running '|\\n|\n|$)")
# A line that ends a trace: Python's exceptions by their names, Java's by their packages.
_PYTHON = re.compile(r"^(?:[a-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception): .+$", re.MULTILINE)
_JAVA = re.compile(
    r"^(?:Caused by: )?(?:[a-z]\w*\.)+[A-Z]\w*(?:Exception|Error): .+$", re.MULTILINE
)


class _Cause(NamedTuple):
    """What is looked for in what an engine says, what that means, and what to do then."""

    pattern: str
    what: str
    hint: str


_CAUSES = (
    _Cause(
        r"No module named '(?:pipelines|records|trainers)",
        "a worker does not have shardmill",
        _WHEEL,
    ),
    _Cause(
        r"No module named '(?P<got>[\w.]+)'",
        "a worker lacks a package that shardmill needs",
        _WHEEL,
    ),
    _Cause(
        r"environments? are not compatible.*?Submission environment: (?P<expected>\S+?)\.?\s"
        r".*?Runtime environment: (?P<got>[^\s\\]+?)\.?(?:\s|\\|$)",
        "workers have another Python or Beam than this command",
        "give them the same: the versions of this project's lock file",
    ),
    _Cause(
        r"Cannot run program \"docker\"|docker: command not found",
        "the engine was to start workers with Docker, and cannot",
        "pass --environment_type and --environment_config behind --; see docs/beam-runners.md",
    ),
    _Cause(
        r"NoResourceAvailableException|Could not acquire the minimum required resources",
        "the engine has no slots free for this job",
        "wait for its other jobs, or ask for less with --parallelism",
    ),
    _Cause(
        r"TaskManager with id .+? (?:is no longer reachable|timed out)"
        r"|Connection unexpectedly closed by remote task manager|The TaskExecutor is shutting down"
        r"|Lost connection to task manager|ExecutorLostFailure",
        "the engine lost a machine during the run",
        _AGAIN,
    ),
    _Cause(
        r"finishConnect\(.{0,80}?\) failed: Connection refused",
        "the engine cannot reach a worker pool",
        "start one on every machine of the engine, where --environment_config says",
    ),
    _Cause(
        r"No such file or directory: 'python'",
        "a worker pool finds no `python` to start a worker with",
        "put the `bin` folder of the environment that has shardmill first on the pool's PATH",
    ),
    _Cause(
        r"SDK [Hh]arness .{0,40}(?:disconnected|closed|died)"
        r"|UNAVAILABLE|CANCELLED: (?:client|call)|ClosedChannelException|Multiplexer hanging up",
        "a worker, or the job server, went away during the run",
        _AGAIN,
    ),
)


def parse_job_error(said: str) -> ShardmillError:
    """The error that a job failed of, from the text that Beam raises.

    An error of ours that a worker raised comes back as it was; else it is what is known of what
    engines say, else the end of the first trace.
    """
    if (ours := _SHARDMILL_ERROR.search(said)) is not None:
        kind: Callable[[str], ShardmillError] = getattr(errors, ours[1], RunnerError)
        return kind(ours[2])
    for cause in _CAUSES:
        found = re.search(cause.pattern, said, re.DOTALL)
        if found is not None:
            places = found.groupdict()
            return RunnerError(
                cause.what,
                expected=places.get("expected"),
                got=places.get("got"),
                hint=cause.hint,
            )
    return RunnerError(
        "the job failed", got=_shorten(said), hint=f"--verbose shows all of it; {_AGAIN}"
    )


def _shorten(said: str) -> str:
    lines = _PYTHON.findall(said) or _JAVA.findall(said) or said.strip().splitlines() or ["nothing"]
    line: str = lines[0].removeprefix("Caused by: ")
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
