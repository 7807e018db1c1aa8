"""Any worker over every shard: one Beam element each, on any runner, failures told as they were.

from pipelines.runners.map_shards import map_shards

facts = map_shards(worker, names, "out/")

The worker comes from outside and is called once a shard; a runner that retries may call it again,
so it publishes what it makes whole or not at all, and passes over what is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines import run_state
from pipelines.run_state import WorkerResult
from pipelines.runners.base import Worker
from pipelines.runners.local import OnProgress, RunnerConfig, check_writable, run_on_shards
from records.errors import StorageError
from records.storage import absolute_location, open_storage


def map_shards(
    worker: Worker,
    names: Sequence[str],
    folder: str,
    *,
    runner: RunnerConfig | None = None,
    images: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, WorkerResult]:
    """Have a worker do every shard, as a conversion does; what it returned of each.

    Args:
        worker: what does one shard.
        names: of the shards, or of whatever else has names that can be those of files.
        folder: where the worker writes, which this process holds; its work folder keeps what
            workers tell, until who called this removes it.
        runner: where it runs.
        images: how many there are to count.
        on_progress: told how many are done.

    Raises:
        UsageError: there is no such runner, or a flag that Beam does not know.
        ShardmillError: what the first shard failed of that no retry could mend.
        StorageError: a shard's facts are not where the driver looks.
        KeyboardInterrupt: the user stopped it; what is finished stays.
    """
    runner = runner or RunnerConfig()
    runner.check(folder)
    output = open_storage(folder)
    run_state.clear_results(output)
    failure = run_on_shards(
        names, worker, absolute_location(folder), runner, images=images, on_progress=on_progress
    )
    facts = {name: run_state.read_result(output, name) for name in names}
    # A retry may have mended what failed: then there are facts.
    missing = [name for name in names if facts[name] is None]
    run_state.raise_failures(output, missing, names)
    if failure is not None:
        check_writable(output)
        raise failure
    return {name: _expect(found, name, folder) for name, found in facts.items()}


def _expect(facts: WorkerResult | None, name: str, folder: str) -> WorkerResult:
    if facts is None:
        raise StorageError(
            "a shard was done and nothing is known of it",
            path=folder,
            shard=name,
            hint="all workers must reach the folder at this path",
        )
    return facts
