"""Worker pools with other settings than those of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.clusters.testbed.flink import FlinkCluster
from tests.clusters.testbed.processes import Process, free_port
from tests.clusters.testbed.workers import pool


@contextmanager
def open_pools(
    cluster: FlinkCluster,
    environment: Path,
    folder: Path,
    *,
    path: str | None = None,
    prefix: tuple[str, ...] = (),
) -> Iterator[tuple[list[Process], tuple[str, ...]]]:
    """Start a pool on every machine, in this process's current environment; yield Beam's flags.

    Args:
        cluster: the cluster whose machines run them.
        environment: the `bin` folder of the workers' environment.
        folder: for their logs.
        path: their PATH, on which they look up `python`.
        prefix: the first words of their command.
    """
    port = free_port()
    pools = [
        pool(
            machine, environment, folder / f"pool-{number}.log", port=port, path=path, prefix=prefix
        )
        for number, machine in enumerate(cluster.workers)
    ]
    with ExitStack() as stack:
        for process in pools:
            stack.enter_context(process)
        for process in pools:
            process.wait_for("Started worker pool")
        yield pools, cluster.flags(port)
