"""The driver, which runs a worker on all shards with any runner.

from pipelines.runners import map_shards

results = map_shards(worker, names, "out/")
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence

from pipelines import run_state
from pipelines.runners.base import Job, ShardTask, unregister
from pipelines.runners.local import LocalJob
from pipelines.runners.processes import ProcessesJob
from records.errors import StorageError
from records.format import layout
from records.runtime.shard_worker import LOCAL, OnProgress, RunnerConfig, Worker, WorkerResult
from records.storage import Storage, absolute_location, open_storage

_POLL_SECONDS = 0.05


def check_runner(runner: RunnerConfig, *locations: str) -> None:
    """Check the name and flags of a runner before anything is read or written.

    Args:
        runner: the name and flags of the runner.
        locations: local paths or URLs that the workers must reach.

    Raises:
        UsageError: the runner or a flag is unknown, or a required flag is missing.
        RunnerError: no job server answers at `--job_endpoint`.
    """
    if runner.needs_beam:
        from pipelines.runners import beam

        beam.check_runner(runner.name, runner.flags, locations)


def map_shards(
    worker: Worker,
    names: Sequence[str],
    folder: str,
    *,
    runner: RunnerConfig | None = None,
    images: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, WorkerResult]:
    """Call a worker once per shard, and return the results by shard name.

    Args:
        worker: the function that processes one shard and returns a result.
        names: the names of the shards; each must be a valid file name.
        folder: the folder or URL that the worker writes to; the caller has locked it. The results
            stay in its work folder until the caller removes the work folder.
        runner: the runner that calls the worker; `local` by default.
        images: the total number of images.
        on_progress: a callback that receives the number of processed images and the total number.

    Raises:
        UsageError: the runner or a flag is unknown, or a required flag is missing.
        ShardmillError: the first permanent error of a shard.
        StorageError: the result of a shard is missing.
        KeyboardInterrupt: the user interrupted the run; finished shards are kept.
    """
    runner = runner or RunnerConfig()
    check_runner(runner, folder)
    output = open_storage(folder)
    run_state.clear_results(output)

    results: dict[str, WorkerResult] = {}

    def is_done(name: str) -> bool:
        result = run_state.read_result(output, name)
        if result is not None:
            results[name] = result
        return result is not None

    run_on_shards(
        worker, names, folder, runner, is_done=is_done, images=images, on_progress=on_progress
    )
    for name in names:
        if name not in results and not is_done(name):
            raise StorageError(
                "the result of a shard is missing",
                path=folder,
                shard=name,
                hint="make this path accessible to all workers",
            )
    return results


def run_on_shards(
    worker: Worker,
    names: Sequence[str],
    folder: str,
    runner: RunnerConfig,
    *,
    is_done: Callable[[str], bool],
    saves_results: bool = True,
    images: int,
    on_progress: OnProgress | None,
) -> Mapping[str, WorkerResult | None]:
    """Call a worker once per shard.

    Args:
        worker: the function that processes one shard.
        names: the names of the shards.
        folder: the folder or URL whose work folder stores errors; every worker must reach it.
        runner: the runner that calls the worker, already checked with `check_runner`.
        is_done: a function that checks on storage whether a shard has been processed; called for
            those of which the runner does not know it.
        saves_results: whether `is_done` reads the results that workers return.
        images: the total number of images.
        on_progress: a callback that receives the number of processed images and the total number.

    Returns:
        The results of the shards of which the runner knows that they are done, by name.

    Raises:
        ShardmillError: the first permanent error of a shard that is not done.
        RunnerError: no worker started, or all workers stopped reporting.
        KeyboardInterrupt: the user interrupted the run; finished shards are kept.
    """
    output = open_storage(folder)
    task = ShardTask(
        worker,
        absolute_location(folder),
        secrets.token_hex(8),
        is_retried=runner.name != LOCAL,
        saves_results=saves_results,
    )
    try:
        job = _make_job(task, names, runner)
        failure = watch(job, images, on_progress)
    finally:
        unregister(task.run_id)
    # The error of a shard that a retry completed no longer matters.
    missing = [name for name in names if name not in job.done and not is_done(name)]
    run_state.raise_failures(output, missing, names)
    if failure is not None:
        check_writable(output)
        raise failure
    return job.done


def _make_job(task: ShardTask, names: Sequence[str], runner: RunnerConfig) -> Job:
    if not runner.needs_beam:
        processes = min(runner.processes, len(names))
        return LocalJob(task, names) if processes < 2 else ProcessesJob(task, names, processes)
    from pipelines.runners import beam

    return beam.make_job(task, names, runner.name, runner.flags)


def watch(job: Job, images: int, on_progress: OnProgress | None) -> Exception | None:
    """Run a job on a thread, report its progress, and return the exception that ended it.

    Raises the errors of `Job.poll`, and KeyboardInterrupt, after the job has been stopped.
    """
    failures: list[Exception] = []
    # Not Thread.join: after an interrupt it treats a running thread as ended (Python 3.11, 3.12).
    ended = threading.Event()

    def work() -> None:
        try:
            job.run()
        except Exception as error:
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="pipeline", daemon=True).start()
    try:
        while not ended.wait(_POLL_SECONDS):
            done = job.poll()
            if on_progress is not None:
                on_progress(min(done, images), images)
    except BaseException:  # Ctrl-C and SIGTERM too
        job.stop(ended)
        raise
    return failures[0] if failures else None


def check_writable(output: Storage) -> None:
    """Raise OutputError if the output cannot be written: exceptions of Beam do not show this."""
    name = f"{layout.WORK_FOLDER}/probe"
    output.replace(name, bytes(1 << 16))
    output.remove(name)
