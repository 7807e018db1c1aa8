"""A run by Beam, wherever its workers are: started, listened to, and called off."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from pipelines.runners.base import ShardTask
from pipelines.runners.heartbeat import end_run, heartbeat_interval, read_progress, start_run
from pipelines.runners.job_errors import parse_job_error
from records.errors import RunnerError, ShardmillError
from records.storage import open_storage

_WARN_AFTER_SECONDS = 20.0
_SILENCE_SECONDS = 900.0
_STOP_SECONDS = 30.0
_CANCEL_SECONDS = 10.0
_HINT = (
    "is the worker pool (or the container) up where the engine's machines look for it, and is"
    " shardmill installed for the `python` that it starts? Its log says"
)

_log = logging.getLogger("shardmill")

Submit = Callable[[], AbstractContextManager[Any]]
"""Hands a pipeline to its runner; Beam's PipelineResult, which some give only at the end."""


class BeamJob:
    """See `pipelines.runners.local.Execution`.

    Args:
        task: what is done with every shard.
        submit: starts the pipeline; when the block ends, it has to be over.
        start_seconds: how long the engine may take until a worker is heard of.
    """

    def __init__(self, task: ShardTask, submit: Submit, start_seconds: float) -> None:
        self._task = task
        self._submit = submit
        self._start_seconds = start_seconds
        self._output = open_storage(task.folder)
        self._result: Any = None
        self._is_stopped = False
        self._counts: dict[str, int] = {}
        self._seconds_between_looks = heartbeat_interval(task.folder) / 2
        self._looked_at = self._heard_at = time.monotonic()
        self._is_spoken_of = False

    def run(self) -> None:
        """See `Execution.run`."""
        start_run(self._output, self._task.run_id)
        try:
            with self._submit() as result:
                self._result = result
                if self._is_stopped:
                    result.cancel()
                result.wait_until_finish()
        except ShardmillError:
            raise
        except Exception as error:
            raise parse_job_error(str(error)) from error
        finally:
            end_run(self._output, self._task.run_id)

    def look(self) -> int:
        """See `Execution.look`."""
        now = time.monotonic()
        if now - self._looked_at >= self._seconds_between_looks:
            self._looked_at = now
            self._listen(now)
            self._refuse_silence(now - self._heard_at)
        return sum(self._counts.values())

    def _listen(self, now: float) -> None:
        # What cannot be read now may be at the next look.
        with suppress(ShardmillError, FileNotFoundError):
            counts = read_progress(self._task.folder, self._task.run_id)
            if counts != self._counts:
                self._counts, self._heard_at = counts, now

    def _refuse_silence(self, seconds: float) -> None:
        if self._counts:
            if seconds > _SILENCE_SECONDS:
                raise RunnerError(
                    f"none of {len(self._counts)} workers has said anything for {seconds:.0f} s",
                    hint="look at the engine, then run the same command again: it goes on",
                )
        elif seconds > self._start_seconds:
            raise RunnerError(f"no worker has begun within {seconds:.0f} s", hint=_HINT)
        elif seconds > _WARN_AFTER_SECONDS and not self._is_spoken_of:
            self._is_spoken_of = True
            _log.warning(
                "no worker has begun for %.0f s; waiting until %.0f s",
                *(seconds, self._start_seconds),
            )

    def stop(self, ended: threading.Event) -> None:
        """See `Execution.stop`: by the workers themselves, then by the engine, then alone."""
        self._is_stopped = True
        with suppress(ShardmillError):
            end_run(self._output, self._task.run_id)
        if self._counts and ended.wait(_STOP_SECONDS):
            return
        if self._result is not None:
            # The job is left behind where the engine does not answer: its workers find it over.
            with suppress(Exception):
                self._result.cancel()
        ended.wait(_CANCEL_SECONDS)
