"""Mistakes on a cluster: one line of error, no hanging run.

The engines and the workers are real.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from pipelines.runners.engines import ENGINES
from records.errors import RunnerError, ShardmillError, StorageError
from records.format import layout
from tests.clusters.pools import open_pools
from tests.clusters.testbed.flink import FlinkCluster
from tests.clusters.testbed.machines import can_make_machines
from tests.clusters.testbed.processes import free_port
from tests.clusters.testbed.workers import make_environment
from tests.pipelines.pictures import make_folders

Attempt = Callable[..., ShardmillError]


@pytest.fixture
def attempt(cluster: FlinkCluster, tmp_path: Path) -> Attempt:
    """Convert a few pictures with pools of other settings; return the error."""

    def attempt_now(environment: Path, **settings: object) -> ShardmillError:
        make_folders(tmp_path / "source", cat=6, dog=6)
        with open_pools(cluster, environment, tmp_path, **settings) as (_, flags):  # type: ignore[arg-type]
            return failure(tmp_path, flags)

    return attempt_now


def failure(tmp_path: Path, flags: tuple[str, ...]) -> ShardmillError:
    output = tmp_path / "output" / "data"
    options = ConvertOptions(
        source=str(tmp_path / "source"), output=str(output), runner="flink", beam_flags=flags
    )
    with pytest.raises(ShardmillError) as caught:
        convert(options)
    assert not (output / layout.MANIFEST).exists()
    assert "\n" not in str(caught.value)
    return caught.value


def test_convert_flink_worker_without_shardmill_raises_runner_error(
    attempt: Attempt, tmp_path: Path
) -> None:
    error = attempt(make_environment(tmp_path / "venv"))
    assert isinstance(error, RunnerError)
    assert "shardmill is not installed on a worker" in str(error)


def test_convert_flink_worker_with_different_version_raises_runner_error(
    attempt: Attempt, wheel: Path, tmp_path: Path
) -> None:
    environment = make_environment(tmp_path / "venv", wheel)
    (version,) = (tmp_path / "venv").rglob("records/version.py")
    version.write_text('__version__ = "0.0.1"\n')
    error = attempt(environment)
    assert isinstance(error, RunnerError)
    assert "and this command have different package versions" in str(error)
    assert "got shardmill 0.0.1" in str(error)


def test_convert_flink_unreachable_worker_pool_raises_one_line_error(
    cluster: FlinkCluster, tmp_path: Path
) -> None:
    make_folders(tmp_path / "source", cat=6, dog=6)
    error = failure(tmp_path, cluster.flags(free_port()))
    assert "the engine cannot reach a worker pool" in str(error)


def test_convert_flink_pool_without_python_raises_one_line_error(
    attempt: Attempt, environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    error = attempt(environment, path=str(tmp_path / "empty"))
    assert "a worker pool does not find `python`" in str(error)


@pytest.mark.skipif(not can_make_machines(), reason="needs root, to mount")
@pytest.mark.parametrize(
    ("hidden", "said"), [("output", "does not see the files of this run"), ("source", "the source")]
)
def test_convert_flink_unshared_source_or_output_raises_storage_error(
    attempt: Attempt, environment: Path, tmp_path: Path, hidden: str, said: str
) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "source").mkdir()
    mount = f'mount -t tmpfs none {tmp_path / hidden} && exec "$@"'
    shell = shutil.which("sh")
    error = attempt(environment, prefix=("unshare", "--mount", str(shell), "-c", mount, "sh"))
    assert isinstance(error, StorageError)
    assert said in str(error)


def test_convert_flink_pool_without_beam_times_out_with_runner_error(
    attempt: Attempt,
    environment: Path,
    cluster: FlinkCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker ends immediately, and Flink waits for it without limit."""
    other = make_environment(tmp_path / "venv")
    for file in (tmp_path / "venv").rglob("needed.pth"):
        file.unlink()
    monkeypatch.setitem(ENGINES, "flink", replace(ENGINES["flink"], start_seconds=5.0))
    error = attempt(environment, path=f"{other}{os.pathsep}{os.environ['PATH']}")
    assert isinstance(error, RunnerError)
    assert "no worker has started within 5 s" in str(error)
    # Tasks that wait for a worker hold their slots for minutes after they were cancelled.
    for manager in cluster.task_managers:
        manager.kill()
