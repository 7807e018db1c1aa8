"""Any worker over every shard: one Beam element each, on any runner, failures told as they were.

from pipelines.over_shards import over_shards

facts = over_shards(worker, names, "out/")

The worker comes from outside and is called once a shard; a runner that retries may call it again,
so it publishes what it makes whole or not at all, and passes over what is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines import work_folder
from pipelines.execute import BeamRunner, OnProgress, probe, run_over
from pipelines.task import Worker
from pipelines.work_folder import Facts
from records.errors import StorageError
from records.storage import absolute_location, open_storage


def over_shards(
    worker: Worker,
    names: Sequence[str],
    folder: str,
    *,
    runner: BeamRunner | None = None,
    images: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Facts]:
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
    runner = runner or BeamRunner()
    runner.check(folder)
    target = open_storage(folder)
    work_folder.forget_results(target)
    failure = run_over(
        names, worker, absolute_location(folder), runner, images=images, on_progress=on_progress
    )
    facts = {name: work_folder.read_facts(target, name) for name in names}
    # A retry may have mended what failed: then there are facts.
    missing = [name for name in names if facts[name] is None]
    work_folder.raise_failures(target, missing, names)
    if failure is not None:
        probe(target)
        raise failure
    return {name: _expect(found, name, folder) for name, found in facts.items()}


def _expect(facts: Facts | None, name: str, folder: str) -> Facts:
    if facts is None:
        raise StorageError(
            "a shard was done and nothing is known of it",
            path=folder,
            shard=name,
            hint="all workers must reach the folder at this path",
        )
    return facts
