"""Beam's job servers, which accept jobs for an engine, and JVMs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.clusters.testbed.engines import ClusterError, jars
from tests.clusters.testbed.processes import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clusters.testbed.machines import Machine

# Modules of Java 17 that Flink's and Spark's own start scripts open.
_OPENED = (
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio"),
    *("java.text", "java.time", "java.util", "java.util.concurrent"),
    *("java.util.concurrent.atomic", "java.util.concurrent.locks"),
    *("sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar"),
)

# In its first minutes a JVM mainly compiles itself; these are to start fast.
_SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def java(engine: str, main: str, memory: str = "512m") -> tuple[str, ...]:
    """Return the command that runs a class of an engine's jars. Raise ClusterError."""
    if not jars(engine).is_dir():
        raise ClusterError(f"{engine} is not there: `python -m tests.clusters.testbed fetch` first")
    opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED]
    return (
        "java",
        f"-Xmx{memory}",
        "-Dlog4j2.level=INFO",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        *_SHORT_LIVED,
        *opened,
        "-cp",
        f"{jars(engine)}/*",
        main,
    )


@contextmanager
def open_job_server(
    machine: Machine, engine: str, main: str, master: str, folder: Path
) -> Iterator[str]:
    """Start a job server; yield its address while the block runs.

    Args:
        machine: the machine to run it on.
        engine: the name of its jars.
        main: its class.
        master: the flag with the engine's address.
        folder: for its log and the jobs' files.
    """
    port = free_port()
    flags = (
        master,
        f"--job-host={machine.address}",
        f"--job-port={port}",
        # With 0 it would listen at localhost only.
        f"--artifact-port={free_port()}",
        "--expansion-port=0",
        f"--artifacts-dir={folder / 'artifacts'}",
    )
    command = machine.command(*java(engine, main, memory="1g"), *flags)
    with Process(command, folder / "job-server.log") as server:
        server.wait_for("JobService started")
        yield f"{machine.address}:{port}"
