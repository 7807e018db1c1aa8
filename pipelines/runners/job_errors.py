"""Errors from Python and Java stack traces of engines, in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pipelines.run_state import public_kind
from records import errors
from records.errors import RunnerError, ShardmillError
from records.runtime.docs import docs_page

_MAX_CHARACTERS = 300
_AGAIN = "run the same command again: it resumes"
_WHEEL = "install the shardmill wheel (`make wheel`) for the `python` that starts workers"
_SHARDMILL_ERROR = re.compile(r"\brecords\.errors\.(\w+): (.+?)(?: \[while running '|\\n|\n|$)")
# The exception line of a trace: Python exceptions by name, Java exceptions by package.
_PYTHON = re.compile(r"^(?:[a-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception): .+$", re.MULTILINE)
_JAVA = re.compile(
    r"^(?:Caused by: )?(?:[a-z]\w*\.)+[A-Z]\w*(?:Exception|Error): .+$", re.MULTILINE
)


class _Cause(NamedTuple):
    """A pattern in the log of an engine, its meaning, and a hint."""

    pattern: str
    what: str
    hint: str


_CAUSES = (
    _Cause(
        r"No module named '(?:pipelines|records|trainers)",
        "shardmill is not installed on a worker",
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
        "workers and this command have different versions of Python or Beam",
        "install the versions of the shardmill lock file on all workers",
    ),
    _Cause(
        r"Cannot run program \"docker\"|docker: command not found",
        "the engine cannot start workers with Docker",
        "pass --environment_type and --environment_config after --, see "
        f"{docs_page('how-to/beam-runners')}",
    ),
    _Cause(
        r"NoResourceAvailableException|Could not acquire the minimum required resources",
        "the engine has no free slots for this job",
        "wait until other jobs end, or lower --parallelism",
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
        "start a worker pool on every engine machine, at the address in --environment_config",
    ),
    _Cause(
        r"No such file or directory: 'python'",
        "a worker pool does not find `python`",
        "put the `bin` folder of the shardmill environment first on the PATH of the worker pool",
    ),
    _Cause(
        r"SDK [Hh]arness .{0,40}(?:disconnected|closed|died)"
        r"|UNAVAILABLE|CANCELLED: (?:client|call)|ClosedChannelException|Multiplexer hanging up",
        "the connection to a worker or the job server was lost",
        _AGAIN,
    ),
)


@contextmanager
def whole_messages() -> Iterator[None]:
    """Put all fields of an error into its message: Beam copies only the message."""
    try:
        yield
    except ShardmillError as error:
        kind: type[ShardmillError] = getattr(errors, public_kind(error))
        raise kind(str(error)) from error


def parse_job_error(log_text: str) -> ShardmillError:
    """Return the error that ended a job, from the text of the Beam exception.

    If a worker raised an error of `records.errors`, the returned error has the same type and text.
    Otherwise it names a known cause, or quotes the exception line of the first trace.
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
