"""A worker run over shards, here or by Beam, beside the thread that watches it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelines.options import LOCAL
from pipelines.runners.base import ShardTask, Worker, run_control, run_shards, unregister
from records.format import layout
from records.storage import Storage

OnProgress = Callable[[int, int], None]
"""Called now and then with images done and images there are to do."""

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class RunnerConfig:
    """Where shards are done: `local`, an engine, or a runner by Beam's name; and Beam's flags."""

    name: str = LOCAL
    flags: Sequence[str] = ()

    @property
    def is_local(self) -> bool:
        """Whether there is nothing that Beam would have to do, and 2 s to import it."""
        return self.name == LOCAL and not self.flags

    def check(self, *locations: str) -> None:
        """Refuse a runner that is none, or that lacks something.

        Args:
            locations: folders or URLs that its workers will have to reach.

        Raises:
            UsageError: Beam does not know the runner or a flag, or one is missing.
            RunnerError: nothing answers where jobs are to go.
        """
        if self.is_local:
            return
        from pipelines.runners.beam import check_runner

        check_runner(self.name, self.flags, locations)


class Execution(Protocol):
    """A run on its way: one thread is in `run`, another one looks after it."""

    def run(self) -> None:
        """Do every shard; returns when all are done or called off. Raises what it failed of."""

    def look(self) -> int:
        """How many images are done. Raises RunnerError where nothing happens any more."""

    def stop(self, ended: threading.Event) -> None:
        """Call it off, and wait for its end: what is staged goes, what is finished stays."""


class LocalExecution:
    """Shards done one after another in this process."""

    def __init__(self, task: ShardTask, names: Sequence[str]) -> None:
        self._task = task
        self._names = names
        self._progress = run_control(task.run_id)

    def run(self) -> None:
        """See `Execution.run`."""
        run_shards(self._task, self._names)

    def look(self) -> int:
        """See `Execution.look`."""
        return self._progress.images

    def stop(self, ended: threading.Event) -> None:
        """See `Execution.stop`."""
        self._progress.cancel()
        ended.wait()


def run_on_shards(
    names: Sequence[str],
    worker: Worker,
    folder: str,
    runner: RunnerConfig,
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
        RunnerError: no worker has begun, or none says anything any more.
        KeyboardInterrupt: the user stopped it; what is finished stays.
    """
    task = ShardTask(worker, folder, secrets.token_hex(8), is_retried=runner.name != LOCAL)
    try:
        return run_execution(_execution(task, names, runner), images, on_progress)
    finally:
        unregister(task.run_id)


def _execution(task: ShardTask, names: Sequence[str], runner: RunnerConfig) -> Execution:
    if runner.is_local:
        return LocalExecution(task, names)
    from pipelines.runners.beam import execution

    return execution(task, names, runner.name, runner.flags)


def run_execution(
    execution: Execution, images: int, on_progress: OnProgress | None
) -> Exception | None:
    """Run on a thread, for it blocks, and watch it; what it failed of. Raises as `run_on_shards`."""
    failures: list[Exception] = []
    # Not Thread.join: interrupted, it takes a living thread for dead (Python 3.11, 3.12).
    ended = threading.Event()

    def work() -> None:
        try:
            execution.run()
        except Exception as error:
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="pipeline", daemon=True).start()
    try:
        while not ended.wait(_LOOK_SECONDS):
            done = execution.look()
            if on_progress is not None:
                on_progress(min(done, images), images)
    except BaseException:  # Ctrl-C and SIGTERM too
        execution.stop(ended)
        raise
    return failures[0] if failures else None


def check_writable(output: Storage) -> None:
    """Tell a folder that cannot be written from other failures, of which Beam says too little."""
    name = f"{layout.WORK_FOLDER}/probe"
    output.replace(name, bytes(1 << 16))
    output.remove(name)
