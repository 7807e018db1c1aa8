"""Logger that sends the epochs of a run to a tracking service."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from records.errors import CorruptDataError, StorageError
from records.strict_json import decode_json, encode_canonical
from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, pluralize
from records.text.urls import without_user
from trainers.loggers.tracked_run import describe_run, small_files
from trainers.options import LoggerName
from trainers.runs.run_dir import LOGGERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trainers.loggers.base import Outcome
    from trainers.loggers.tracked_run import TrackedRun
    from trainers.runs.history import EpochMetrics
    from trainers.runs.run_dir import Run

RunId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
_RETRY_SECONDS = 300.0
"""The time after a failure in which nothing is sent: an attempt may wait for minutes."""
_MOST_CHARACTERS = 200


class Tracker(Protocol):
    """A client of a tracking service. Its methods may raise any exception.

    Attributes:
        title: the name of the service for people.
        secrets: texts that messages must not contain.
        hint: the next step if the service does not accept a run.
    """

    title: str
    secrets: tuple[str, ...]
    hint: str

    def begin(self, run_id: str | None, description: TrackedRun) -> str:
        """Create a run, or continue the run with an id if it still exists; return its id."""

    def place(self) -> str:
        """Return where the run is, for a message."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of an epoch that ended after `step` steps, unless they are known."""

    def end(self, outcome: Outcome, files: Mapping[str, bytes]) -> None:
        """Record how the process ended, and files of the run by name."""


class TrackerLogger:
    """Sends the result of each epoch to a tracking service.

    A service that fails while the run trains never ends the run: the epochs are sent later.

    Args:
        name: the name of the logger, the key of the id in `loggers.json`.
        tracker: the client.
        run: the run.
        on_message: called with each line that the user should read.

    Raises:
        CorruptDataError: `loggers.json` is damaged.
        StorageError: the service does not accept the run.
    """

    def __init__(
        self, name: LoggerName, tracker: Tracker, run: Run, on_message: Callable[[str], None]
    ) -> None:
        self._tracker, self._run, self._on_message = tracker, run, on_message
        self._pending: list[tuple[int, dict[str, float]]] = []
        self._retry_at = 0.0
        ids = read_ids(run)
        try:
            run_id = tracker.begin(ids.get(name), describe_run(run))
            place = tracker.place()
        except Exception as error:
            raise StorageError(
                f"{tracker.title} does not accept the run",
                got=describe_error(error, tracker.secrets),
                hint=tracker.hint,
            ) from error
        if ids.get(name) != run_id:
            run.write_unrecorded(LOGGERS, encode_canonical({**ids, name: run_id}))
        on_message(f"logging to {tracker.title}: {without_user(place)}")

    def write_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `RunLogger.write_step`; a service receives only epochs."""

    def write_epoch(self, step: int, result: EpochMetrics) -> None:
        """See `RunLogger.write_epoch`."""
        self._pending.append((step, result.to_columns()))
        if time.monotonic() >= self._retry_at:
            self._attempt(self._send, "the run continues, and sends these metrics later")

    def close(self, outcome: Outcome) -> None:
        """See `RunLogger.close`."""
        self._attempt(self._send, f"{pluralize(len(self._pending), 'epoch')} may be missing there")
        # The storage of the run may fail, too: all of its files are written.
        self._attempt(
            lambda: self._tracker.end(outcome, small_files(self._run)), "the run has no end there"
        )

    def _send(self) -> None:
        while self._pending:
            self._tracker.log(*self._pending[0])
            del self._pending[0]

    def _attempt(self, action: Callable[[], None], consequence: str) -> None:
        try:
            action()
        except Exception as error:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            problem = describe_error(error, self._tracker.secrets)
            self._on_message(f"{self._tracker.title} failed: {problem}; {consequence}")


def read_ids(run: Run) -> dict[LoggerName, RunId]:
    """Return the ids of a run in tracking services. Raises CorruptDataError."""
    if not run.has(LOGGERS):
        return {}
    try:
        with run.folder.open(LOGGERS) as stream:
            return decode_json(stream.read(), dict[LoggerName, RunId])
    except msgspec.DecodeError as error:
        raise CorruptDataError(
            "not the ids of a run in tracking services",
            path=run.describe(LOGGERS),
            got=str(error),
            hint="remove this file, and `shardmill train DATASET RUN --resume` starts new ones",
        ) from error


def describe_error(error: Exception, secrets: Iterable[str]) -> str:
    """Return the first line of an error without secrets, which clients put into messages."""
    text = without_user(str(error).strip().partition("\n")[0])
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    name = type(error).__name__
    return escape_for_display(abbreviate(f"{name}: {text}" if text else name, _MOST_CHARACTERS))


def secret_variables(*names: str) -> tuple[str, ...]:
    """Return the values of environment variables that contain secrets, and passwords in URLs."""
    values = [os.environ.get(name, "") for name in names]
    passwords = (re.search(r"://[^/@]*?:([^/@]+)@", value) for value in values)
    return (*(found[1] for found in passwords if found), *(it for it in values if "://" not in it))
