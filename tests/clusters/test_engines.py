"""Equality of datasets, features and predictions from every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.clusters.conftest import OPTIONS
from tests.clusters.testbed import engines
from tests.clusters.testbed.flink import FlinkCluster, flink_here
from tests.clusters.testbed.spark import spark_here
from tests.faults.processes import convert
from tests.pipelines.pictures import content_of

Start = Callable[[Path], AbstractContextManager[Sequence[str]]]


def check_same(
    photos: Path, tmp_path: Path, expected: dict[str, bytes], runner: str, *flags: str
) -> None:
    output = tmp_path / "data"
    ended = convert(photos, output, *OPTIONS, "--runner", runner, "--", *flags)
    assert ended == (0, "")
    assert content_of(output) == expected


def test_convert_prism_runner_gives_local_bytes(
    photos: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    if not engines.prism().is_file():
        pytest.skip("needs Prism, which `make cluster-test` builds where Go is installed")
    check_same(photos, tmp_path, expected, "prism", f"--prism_location={engines.prism()}")


@pytest.mark.parametrize(("runner", "start"), [("flink", flink_here), ("spark", spark_here)])
def test_convert_embedded_flink_or_spark_gives_local_bytes(
    photos: Path, tmp_path: Path, expected: dict[str, bytes], runner: str, start: Start
) -> None:
    with start(tmp_path) as flags:
        check_same(photos, tmp_path, expected, runner, *flags)


def test_convert_flink_cluster_gives_local_bytes_using_all_pools(
    photos: Path, tmp_path: Path, expected: dict[str, bytes], cluster: FlinkCluster
) -> None:
    check_same(photos, tmp_path, expected, "flink", *cluster.flags())
    for pool in cluster.pools:
        assert "Starting worker" in pool.log.read_text()
