"""A Beam job: liveness of its workers, progress, cancellation."""

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
from records.runtime.shard_worker import WorkerResult
from records.runtime.termination import grace_period
from records.storage import open_storage

WARN_AFTER_SECONDS = 20.0
START_SECONDS = 300.0
"""How long a run waits for its first worker; an engine may need longer."""
SILENCE_SECONDS = 900.0
STOP_SECONDS = 10.0
_CANCEL_SECONDS = 10.0
_NO_WORKER_HINT = (
    "check that the worker pool (or the container) runs at the address that the engine uses, and"
    " that shardmill is installed for the `python` that starts workers; see the log of the pool"
)

_log = logging.getLogger("shardmill")

Submit = Callable[[], AbstractContextManager[Any]]
"""A context manager that submits a pipeline and yields Beam's PipelineResult.

Some runners return the result only at the end of the pipeline.
"""


class BeamJob:
    """A job that processes shards on Beam workers; see `pipelines.runners.base.Job`.

    Args:
        task: the worker and its parameters.
        submit: the context manager that submits the pipeline, and exits after its end.
        start_seconds: the time limit for the start of the first worker, in seconds.
    """

    def __init__(self, task: ShardTask, submit: Submit, start_seconds: float) -> None:
        self.done: dict[str, WorkerResult | None] = {}  # an engine reports no results
        self._task = task
        self._submit = submit
        self._start_seconds = start_seconds
        self._output = open_storage(task.folder)
        self._result: Any = None
        self._is_stopped = False
        self._images_by_worker: dict[str, int] = {}
        self._poll_seconds = heartbeat_interval(task.folder) / 2
        self._polled_at = self._progressed_at = time.monotonic()
        self._has_warned = False

    def run(self) -> None:
        """See `Job.run`."""
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

    def poll(self) -> int:
        """See `Job.poll`."""
        now = time.monotonic()
        if now - self._polled_at >= self._poll_seconds:
            self._polled_at = now
            self._poll_workers(now)
            self._check_liveness(now - self._progressed_at)
        return sum(self._images_by_worker.values())

    def _poll_workers(self, now: float) -> None:
        # A file that cannot be read now may be readable at the next poll.
        with suppress(ShardmillError, FileNotFoundError):
            images = read_progress(self._task.folder, self._task.run_id)
            if images != self._images_by_worker:
                self._images_by_worker, self._progressed_at = images, now

    def _check_liveness(self, seconds: float) -> None:
        """Raise RunnerError if the workers have made no progress for too many seconds."""
        if self._images_by_worker:
            if seconds > SILENCE_SECONDS:
                raise RunnerError(
                    f"no worker has reported progress for {seconds:.0f} s (number of workers:"
                    f" {len(self._images_by_worker)})",
                    hint="check the engine, then run the same command again: it resumes",
                )
        elif seconds > self._start_seconds:
            raise RunnerError(f"no worker has started within {seconds:.0f} s", hint=_NO_WORKER_HINT)
        elif seconds > WARN_AFTER_SECONDS and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "no worker has started for %.0f s; the limit is %.0f s",
                *(seconds, self._start_seconds),
            )

    def stop(self, ended: threading.Event) -> None:
        """See `Job.stop`: first the workers stop themselves, then the engine cancels the job."""
        with grace_period(STOP_SECONDS + 2 * _CANCEL_SECONDS):
            self._stop(ended)

    def _stop(self, ended: threading.Event) -> None:
        self._is_stopped = True
        with suppress(ShardmillError):
            end_run(self._output, self._task.run_id)
        if self._images_by_worker and ended.wait(STOP_SECONDS):
            return
        if self._result is not None:
            # If the engine does not answer, the job remains, but its workers stop themselves.
            with suppress(Exception):
                self._result.cancel()
        ended.wait(_CANCEL_SECONDS)
