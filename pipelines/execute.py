"""The Beam pipeline run beside the thread that watches it, and what it failed of."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress

from pipelines import work_folder
from pipelines.options import LOCAL, ConvertOptions
from pipelines.plan import Plan
from pipelines.progress import forget, progress_of
from pipelines.stopping import request_stop
from pipelines.write import Job
from records import layout
from records.errors import ShardmillError
from records.storage import Storage, is_url, open_storage

OnProgress = Callable[[int, int], None]
"""Called now and then with images done and images planned."""

_LOOK_SECONDS = 0.05


def check_beam(options: ConvertOptions) -> None:
    """Refuse a runner or flags that Beam does not know. Raises UsageError."""
    if options.runner == LOCAL and not options.beam_flags:
        return
    from pipelines.runners import check_runner

    check_runner(options.runner, options.beam_flags)


def write_shards(
    target: Storage, plan: Plan, options: ConvertOptions, on_progress: OnProgress | None
) -> None:
    """Write every shard of the plan that is not there yet.

    Raises:
        TargetError: the target cannot be written.
        StorageError: storage failed after retries.
        KeyboardInterrupt: the user stopped it; what is finished stays.
    """
    run_id = secrets.token_hex(8)
    job = Job(
        source=options.source if is_url(options.source) else os.path.realpath(options.source),
        target=options.target if is_url(options.target) else os.path.realpath(options.target),
        labels=plan.labels,
        images=options.images,
        workers=options.workers,
        run_id=run_id,
        is_retried=options.runner != LOCAL,
    )
    try:
        failure = _run_beside(job, plan, options, on_progress)
    finally:
        forget(run_id)
    for shard in plan.shards:
        # A retry may have mended what failed: then there is an index.
        if target.facts(layout.index_name(shard.name)) is None:
            work_folder.raise_failure(target, shard.name)
    if failure is not None:
        _probe(target)
        raise failure


def _run_beside(
    job: Job, plan: Plan, options: ConvertOptions, on_progress: OnProgress | None
) -> Exception | None:
    """Run the pipeline on a thread, for it blocks; what it failed of, if it did."""
    progress = progress_of(job.run_id)
    failures: list[Exception] = []
    # Not Thread.join: interrupted, it takes a living thread for dead (Python 3.11, 3.12).
    ended = threading.Event()

    def work() -> None:
        try:
            # Beam takes 2 s to import: only now, when there is something to do.
            from pipelines.runners import run_pipeline

            names = [shard.name for shard in plan.shards]
            run_pipeline(job, names, options.runner, options.beam_flags)
        except Exception as error:
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="pipeline", daemon=True).start()
    try:
        while not ended.wait(_LOOK_SECONDS):
            if on_progress is not None:
                on_progress(progress.images, plan.images)
    except BaseException:
        # Ctrl-C or SIGTERM: what is staged goes, what is finished stays, for the next run.
        progress.cancel()
        with suppress(ShardmillError):
            request_stop(open_storage(job.target), job.run_id)
        ended.wait()
        raise
    return failures[0] if failures else None


def _probe(target: Storage) -> None:
    """Tell a target that cannot be written from other failures, of which Beam says too little."""
    name = f"{layout.WORK_FOLDER}/probe"
    target.replace(name, bytes(1 << 16))
    target.remove(name)
