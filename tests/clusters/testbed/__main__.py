"""Command line: fetch the engines, or run a cluster until Ctrl-C."""

from __future__ import annotations

import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from tests.clusters.testbed import engines
from tests.clusters.testbed.engines import ClusterError
from tests.clusters.testbed.flink import flink_cluster, flink_here
from tests.clusters.testbed.spark import spark_here
from tests.clusters.testbed.workers import build_wheel, make_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run a small cluster on this machine, to try conversions on."""


@main.command()
def fetch() -> None:
    """Fetch Flink and Spark by Maven and build Prism by Go, unless they exist."""
    with ThreadPoolExecutor(1) as beside:
        # Go compiles while Maven downloads.
        click.echo(f"prism: {engines.prism()}")
        building = beside.submit(engines.fetch_prism)
        for name in engines.JARS:
            click.echo(f"{name}: {engines.jars(name)}")
            engines.fetch_jars(name)
    try:
        building.result()
    except ClusterError as error:
        click.echo(f"prism: left out, {error}", err=True)


@main.command()
@click.option("--machines", type=click.IntRange(0), default=2, show_default=True)
def flink(machines: int) -> None:
    """Run Flink: task managers and worker pools, one pair per machine; 0: all in one process."""
    with _folder() as folder:
        if machines == 0:
            with flink_here(folder) as flags:
                _hold("flink", flags, folder)
        environment = make_environment(folder / "worker", build_wheel(folder))
        with flink_cluster(folder, environment, machines) as cluster:
            click.echo(f"dashboard: {cluster.dashboard}")
            _hold("flink", cluster.flags(), folder)


@main.command()
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
def spark(threads: int) -> None:
    """Run Spark in one process."""
    with _folder() as folder, spark_here(folder, threads) as flags:
        _hold("spark", flags, folder)


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder for the cluster's files; Ctrl-C and SIGTERM end the block as errors do."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="shardmill-cluster-") as folder:
            yield Path(folder)
    except KeyboardInterrupt:
        click.echo("stopped")
    except ClusterError as error:
        raise click.ClickException(str(error)) from error


def _hold(runner: str, flags: Sequence[str], folder: Path) -> NoReturn:
    """Print how to use it, and wait for Ctrl-C."""
    click.echo(f"logs: {folder}")
    click.echo(f"shardmill convert SOURCE OUTPUT --runner {runner} -- {' '.join(flags)}")
    click.echo("Ctrl-C stops it")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(prog_name="python -m tests.clusters.testbed")
