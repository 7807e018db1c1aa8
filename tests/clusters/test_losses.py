"""Loss of a Flink cluster's part, or of the driver.

The error is one line and no half-written output remains. The same command resumes with the rest, on
the repaired cluster or on this machine.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from records.format import layout
from tests.clusters.testbed.flink import FlinkCluster
from tests.faults.processes import (
    convert,
    finished_shards,
    kill,
    require_whole_or_absent,
    start,
)
from tests.pipelines.pictures import content_of

# Long enough that work remains when the first shard exists.
OPTIONS = ("--shards=12", "--resize=224", "--store=png", "--workers=1")


@pytest.fixture(scope="module")
def few(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two classes of the photos."""
    source = tmp_path_factory.mktemp("few") / "source"
    for folder in sorted(photos.iterdir())[:2]:
        shutil.copytree(folder, source / folder.name)
    return source


@pytest.fixture(scope="module")
def undisturbed(few: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed") / "data"
    assert convert(few, output, *OPTIONS) == (0, "")
    return content_of(output)


def wait_for_a_shard(output: Path, process: subprocess.Popen[str]) -> None:
    while not finished_shards(output):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def runs_of(output: Path) -> set[Path]:
    return set((output / layout.WORK_FOLDER / "runs").glob("*"))


def wait_for_another_run(output: Path, process: subprocess.Popen[str], before: set[Path]) -> None:
    """Wait until a worker of another run reports."""
    while runs_of(output) <= before or not list(output.glob(f"{layout.WORK_FOLDER}/workers/*/*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


@pytest.mark.parametrize("victims", ["pools", "task_managers"])
def test_convert_flink_lost_worker_exits_with_status_69_and_resumes(
    few: Path,
    tmp_path: Path,
    cluster: FlinkCluster,
    undisturbed: dict[str, bytes],
    victims: str,
) -> None:
    output = tmp_path / "data"
    command = (*OPTIONS, "--runner", "flink", "--", *cluster.flags())
    process = start(few, output, *command)
    wait_for_a_shard(output, process)
    getattr(cluster, victims)[0].kill()
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 69
    causes = ("went away during the run", "lost a machine", "or the job server was lost")
    assert any(cause in errors for cause in causes), errors
    assert len(errors.splitlines()) == 1
    assert not require_whole_or_absent(output)
    kept = finished_shards(output)
    assert kept
    cluster.mend()
    ended = convert(few, output, *command)
    assert ended.status == 0, ended
    assert content_of(output) == undisturbed
    assert finished_shards(output).items() >= kept.items()


def test_convert_flink_driver_killed_or_stopped_then_rerun_completes(
    few: Path,
    tmp_path: Path,
    cluster: FlinkCluster,
    undisturbed: dict[str, bytes],
) -> None:
    output = tmp_path / "data"
    command = (*OPTIONS, "--runner", "flink", "--", *cluster.flags())
    process = start(few, output, *command)
    wait_for_a_shard(output, process)
    kill(process)
    before = runs_of(output)
    # The job it leaves behind notices that it is no longer wanted, and frees the cluster's slots.
    process = start(few, output, *command)
    wait_for_another_run(output, process, before)
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert not errors or errors.startswith("shardmill: terminated; resume with: ")
    assert not require_whole_or_absent(output)
    # A run on one machine accepts its finished shards.
    kept = finished_shards(output)
    assert convert(few, output, *OPTIONS) == (0, "")
    assert content_of(output) == undisturbed
    assert finished_shards(output).items() >= kept.items()
