"""Stack traces of engines, in Python and Java, as one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from records import errors
from records.errors import RunnerError, ShardmillError

_MAX_CHARACTERS = 300
_AGAIN = "run the same command again: it resumes"
_WHEEL = "install shardmill's wheel (`make wheel`) for the `python` that starts workers"
_SHARDMILL_ERROR = re.compile(r"\brecords\.errors\.(\w+): (.+?)(?: \[while running '|\\n|\n|$)")
# The last line of a trace: Python's exceptions by their names, Java's by their packages.
_PYTHON = re.compile(r"^(?:[a-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception): .+$", re.MULTILINE)
_JAVA = re.compile(
    r"^(?:Caused by: )?(?:[a-z]\w*\.)+[A-Z]\w*(?:Exception|Error): .+$", re.MULTILINE
)


class _Cause(NamedTuple):
    """A pattern in the log of an engine, what it means, and what to do."""

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
        "install the versions of shardmill's lock file for all of them",
    ),
    _Cause(
        r"Cannot run program \"docker\"|docker: command not found",
        "the engine cannot start workers with Docker",
        "pass --environment_type and --environment_config after --; see docs/beam-runners.md",
    ),
    _Cause(
        r"NoResourceAvailableException|Could not acquire the minimum required resources",
        "the engine has no free slots for this job",
        "wait for its other jobs, or lower --parallelism",
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
        "start one on every machine of the engine, at the address in --environment_config",
    ),
    _Cause(
        r"No such file or directory: 'python'",
        "a worker pool does not find `python`",
        "put the `bin` folder of the environment with shardmill first on the pool's PATH",
    ),
    _Cause(
        r"SDK [Hh]arness .{0,40}(?:disconnected|closed|died)"
        r"|UNAVAILABLE|CANCELLED: (?:client|call)|ClosedChannelException|Multiplexer hanging up",
        "the connection to a worker or the job server was lost",
        _AGAIN,
    ),
)


def parse_job_error(log_text: str) -> ShardmillError:
    """Return the error that ended a job, from the text of Beam's exception.

    An error of `records.errors` that a worker raised is returned with its type and text; otherwise
    a known cause, or the last line of the first trace.
    """
    if (raised := _SHARDMILL_ERROR.search(log_text)) is not None:
        kind: Callable[[str], ShardmillError] = getattr(errors, raised[1], RunnerError)
        return kind(raised[2])
    for cause in _CAUSES:
        found = re.search(cause.pattern, log_text, re.DOTALL)
        if found is not None:
            groups = found.groupdict()
            return RunnerError(
                cause.what,
                expected=groups.get("expected"),
                got=groups.get("got"),
                hint=cause.hint,
            )
    return RunnerError(
        "the job failed", got=_shorten(log_text), hint=f"--verbose shows the whole log; {_AGAIN}"
    )


def _shorten(log_text: str) -> str:
    lines = _PYTHON.findall(log_text) or _JAVA.findall(log_text) or log_text.strip().splitlines()
    line = str(lines[0]).removeprefix("Caused by: ") if lines else "no message"
    return line if len(line) <= _MAX_CHARACTERS else f"{line[:_MAX_CHARACTERS]}…"
