"""Every shard of a plan written, wherever that runs; what one failed of is raised as it was."""

from __future__ import annotations

from pipelines import run_state
from pipelines.planning.plan import Plan
from pipelines.runners.base import Worker
from pipelines.runners.local import OnProgress, RunnerConfig, check_writable, run_on_shards
from records.format.layout import index_name
from records.storage import absolute_location, open_storage


def write_all(
    plan: Plan,
    worker: Worker,
    location: str,
    runner: RunnerConfig,
    on_progress: OnProgress | None,
) -> None:
    """Have a worker write every shard of a plan that is not there yet.

    Args:
        plan: in the output's work folder already.
        worker: writes a shard and then its index, or finds both.
        location: of the output, which this process holds.
        runner: where workers run.
        on_progress: told how many images are done, of how many.

    Raises:
        ShardmillError: what the first shard failed of that no retry could mend.
        KeyboardInterrupt: the user stopped it; what is finished stays.
    """
    output = open_storage(location)
    names = [shard.name for shard in plan.shards]
    failure = run_on_shards(
        names,
        worker,
        absolute_location(location),
        runner,
        images=plan.images,
        on_progress=on_progress,
    )
    # A retry may have mended what failed: then there is an index.
    missing = [name for name in names if output.stat(index_name(name)) is None]
    run_state.raise_failures(output, missing, names)
    if failure is not None:
        check_writable(output)
        raise failure
