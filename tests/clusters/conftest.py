"""Fixtures: engines, clusters of them, and photos to convert there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.testbed import engines
from tests.clusters.testbed.flink import FlinkCluster, flink_cluster
from tests.clusters.testbed.workers import build_wheel, make_environment
from tests.conftest import SHARED_DATA
from tests.faults.processes import convert
from tests.pipelines.pictures import content_of, make_folders

_HERE = Path(__file__).parent
OPTIONS = ("--shards=8", "--test=0.2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them all."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _engines() -> None:
    # Clusters must stop if the tests are terminated, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not all(engines.jars(name).is_dir() for name in engines.JARS):
        pytest.skip("needs Flink and Spark: `make cluster-test` fetches them")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of real photos if any exist, else of generated ones."""
    if (SHARED_DATA / "flowers").is_dir():
        return SHARED_DATA / "flowers"
    return make_folders(tmp_path_factory.mktemp("source") / "photos", cat=300, dog=300)


@pytest.fixture(scope="session")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the output of the local runner."""
    output = tmp_path_factory.mktemp("expected") / "data"
    assert convert(photos, output, *OPTIONS).status == 0
    return content_of(output)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the environment of the workers."""
    return make_environment(tmp_path_factory.mktemp("worker") / "venv", wheel)


@pytest.fixture(scope="session")
def flink(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """Yield the one cluster of all tests, which may have killed a part of it."""
    with flink_cluster(tmp_path_factory.mktemp("flink"), environment) as running:
        yield running


@pytest.fixture
def cluster(flink: FlinkCluster) -> FlinkCluster:
    """Return a job manager, two task managers and two worker pools, all of them running."""
    flink.mend()
    return flink
