"""A worker run over shards, here or by Beam, beside the thread that watches it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipelines.options import LOCAL
from pipelines.progress import forget, progress_of
from pipelines.stopping import request_stop
from pipelines.task import Task, Worker, perform_all
from records import layout
from records.errors import ShardmillError
from records.storage import Storage, open_storage

OnProgress = Callable[[int, int], None]
"""Called now and then with images done and images there are to do."""

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class BeamRunner:
    """Where shards are done: `local`, or a runner by Beam's name, and Beam's flags."""

    name: str = LOCAL
    flags: Sequence[str] = ()

    @property
    def is_this_process(self) -> bool:
        """Whether there is nothing that Beam would have to do, and 2 s to import it."""
        return self.name == LOCAL and not self.flags

    def check(self) -> None:
        """Refuse a runner or flags that Beam does not know. Raises UsageError."""
        if self.is_this_process:
            return
        from pipelines.runners import check_runner

        check_runner(self.name, self.flags)


def run_over(
    names: Sequence[str],
    worker: Worker,
    folder: str,
    runner: BeamRunner,
    *,
    images: int,
    on_progress: OnProgress | None,
) -> Exception | None:
    """Have a worker do every shard; what that failed of, if it did.

    Args:
        names: of the shards.
        worker: what does one.
        folder: in whose work folder failures are kept; a path every worker can reach, or a URL.
        runner: where it runs.
        images: how many there are to count.
        on_progress: told how many are done.

    Raises:
        KeyboardInterrupt: the user stopped it; what is finished stays.
    """
    task = Task(worker, folder, secrets.token_hex(8), is_retried=runner.name != LOCAL)
    try:
        return _run_beside(task, names, runner, images, on_progress)
    finally:
        forget(task.run_id)


def _run_beside(
    task: Task,
    names: Sequence[str],
    runner: BeamRunner,
    images: int,
    on_progress: OnProgress | None,
) -> Exception | None:
    """Run on a thread, for it blocks."""
    progress = progress_of(task.run_id)
    failures: list[Exception] = []
    # Not Thread.join: interrupted, it takes a living thread for dead (Python 3.11, 3.12).
    ended = threading.Event()

    def work() -> None:
        try:
            _run(task, names, runner)
        except Exception as error:
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="pipeline", daemon=True).start()
    try:
        while not ended.wait(_LOOK_SECONDS):
            if on_progress is not None:
                on_progress(progress.images, images)
    except BaseException:
        # Ctrl-C or SIGTERM: what is staged goes, what is finished stays, for the next run.
        progress.cancel()
        with suppress(ShardmillError):
            request_stop(open_storage(task.folder), task.run_id)
        ended.wait()
        raise
    return failures[0] if failures else None


def _run(task: Task, names: Sequence[str], runner: BeamRunner) -> None:
    if runner.is_this_process:
        perform_all(task, names)
        return
    from pipelines.runners import run_pipeline

    run_pipeline(task, names, runner.name, runner.flags)


def probe(target: Storage) -> None:
    """Tell a folder that cannot be written from other failures, of which Beam says too little."""
    name = f"{layout.WORK_FOLDER}/probe"
    target.replace(name, bytes(1 << 16))
    target.remove(name)
