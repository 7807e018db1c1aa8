"""Flink: in one process, or a cluster with worker pools."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.clusters.testbed.job_server import java, open_job_server
from tests.clusters.testbed.machines import Machine, open_machines
from tests.clusters.testbed.processes import Process, free_port
from tests.clusters.testbed.workers import POOL_PORT, pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
# Log messages of processes that are ready.
_POOL_STARTED = "Started worker pool"
_TASK_MANAGER_STARTED = "Successful registration at resource manager"
# Small, for many processes on one machine; a real task manager has some gigabytes.
_TASK_MANAGER_SETTINGS = {
    "taskmanager.numberOfTaskSlots": "1",
    "taskmanager.cpu.cores": "1",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "64m",
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.managed.size": "64m",
    "taskmanager.memory.jvm-metaspace.size": "128m",
    "taskmanager.memory.jvm-overhead.min": "64m",
    "taskmanager.memory.jvm-overhead.max": "64m",
}


@dataclass(frozen=True)
class FlinkCluster:
    """A running cluster: the address for jobs, and the processes that tests may kill."""

    job_endpoint: str
    dashboard: str
    workers: Sequence[Machine]
    task_managers: Sequence[Process]
    pools: Sequence[Process]

    def flags(self, pool_port: int = POOL_PORT) -> tuple[str, ...]:
        """Return Beam's flags for it, with the worker pools at this port of each machine."""
        return (
            f"--job_endpoint={self.job_endpoint}",
            "--environment_type=EXTERNAL",
            f"--environment_config=127.0.0.1:{pool_port}",
            f"--parallelism={len(self.task_managers)}",
        )

    def mend(self) -> None:
        """Restart the worker pools and task managers that have ended. Raise ClusterError."""
        parts = [(pool, _POOL_STARTED) for pool in self.pools]
        parts += [(manager, _TASK_MANAGER_STARTED) for manager in self.task_managers]
        ended = [(process, ready) for process, ready in parts if process.has_ended()]
        for process, _ in ended:
            process.start()
        for process, ready in ended:
            process.wait_for(ready)


@contextmanager
def flink_here(folder: Path) -> Iterator[tuple[str, ...]]:
    """Run Flink within its job server's process; yield Beam's flags for it."""
    with open_job_server(Machine(), *_job_server("[local]"), folder) as address:
        yield (f"--job_endpoint={address}", "--environment_type=LOOPBACK")


@contextmanager
def flink_cluster(folder: Path, environment: Path, count: int = 2) -> Iterator[FlinkCluster]:
    """Yield a cluster that runs as long as the block.

    Args:
        folder: for logs and configurations.
        environment: the `bin` folder of the workers' environment.
        count: of machines with a task manager and a worker pool each. If none can be created, there
            is only this machine, with as many task managers, and one pool.
    """
    with ExitStack() as stack:
        master, *others = stack.enter_context(open_machines(1 + count))
        workers = others or [master]
        pools = [
            stack.enter_context(pool(machine, environment, folder / f"pool-{number}.log"))
            for number, machine in enumerate(workers)
        ]
        settings = _settings(master)
        dashboard = f"{master.address}:{settings['rest.port']}"
        manager = _jvm(master, _JOB_MANAGER, settings, folder / "job-manager.log")
        stack.enter_context(manager).wait_for("Web frontend listening")
        task_managers = [
            stack.enter_context(_task_manager(machine, settings, folder, number))
            for number, machine in zip(range(count), itertools.cycle(workers), strict=False)
        ]
        address = stack.enter_context(open_job_server(master, *_job_server(dashboard), folder))
        for process in pools:
            process.wait_for(_POOL_STARTED)
        for process in task_managers:
            process.wait_for(_TASK_MANAGER_STARTED)
        yield FlinkCluster(address, f"http://{dashboard}", workers, task_managers, pools)


def _job_server(master: str) -> tuple[str, str, str]:
    return "flink", _JOB_SERVER, f"--flink-master={master}"


def _settings(master: Machine) -> dict[str, str]:
    return {
        "jobmanager.rpc.address": master.address,
        "jobmanager.rpc.port": str(free_port()),
        "jobmanager.bind-host": master.bind_address,
        "rest.address": master.address,
        "rest.bind-address": master.bind_address,
        "rest.port": str(free_port()),
        # Classes are not loaded and compiled again for each job.
        "classloader.resolve-order": "parent-first",
        # A machine that loses its power is noticed within this time.
        "heartbeat.interval": "2000",
        "heartbeat.timeout": "10000",
    }


def _task_manager(machine: Machine, settings: dict[str, str], folder: Path, number: int) -> Process:
    own = {
        "taskmanager.host": machine.address,
        "taskmanager.bind-host": machine.bind_address,
    }
    log = folder / f"task-manager-{number}.log"
    return _jvm(machine, _TASK_MANAGER, {**settings, **_TASK_MANAGER_SETTINGS, **own}, log)


def _jvm(machine: Machine, main: str, settings: dict[str, str], log: Path) -> Process:
    configuration = log.with_suffix("")
    configuration.mkdir()
    lines = [f"{key}: {value}\n" for key, value in settings.items()]
    (configuration / "config.yaml").write_text("".join(lines))
    return Process(machine.command(*java("flink", main), "--configDir", str(configuration)), log)
