"""Spark within its job server's process, as `local[N]`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.clusters.testbed.job_server import open_job_server
from tests.clusters.testbed.machines import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JOB_SERVER = "org.apache.beam.runners.spark.SparkJobServerDriver"


@contextmanager
def spark_here(folder: Path, threads: int = 2) -> Iterator[tuple[str, ...]]:
    """Run Spark on this machine; yield Beam's flags for it."""
    master = f"--spark-master-url=local[{threads}]"
    with open_job_server(Machine(), "spark", _JOB_SERVER, master, folder) as address:
        yield (f"--job_endpoint={address}", "--environment_type=LOOPBACK")
