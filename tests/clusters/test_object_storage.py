"""Conversion from bucket to bucket on engines.

Workers find the server by the environment of their pools.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clusters.conftest import OPTIONS
from tests.clusters.pools import open_pools
from tests.clusters.testbed.flink import FlinkCluster
from tests.clusters.testbed.spark import spark_here
from tests.pipelines.pictures import is_of_dataset
from tests.s3 import runs
from tests.s3.server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, find_server

SOURCE = f"s3://{BUCKET}/photos"


@pytest.fixture(scope="module")
def running(
    flink: FlinkCluster, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """Yield a running server that all machines reach, with the photos in a bucket."""
    binary = find_server()
    if binary is None:
        pytest.skip("needs the S3 server of the tests: `make s3-server` builds it")
    server = S3Server(binary, tmp_path_factory.mktemp("s3"), host=flink.workers[0].outside)
    server.start()
    try:
        server.make_bucket()
        put_all(server, photos)
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Return the server; processes started from here find it."""
    for variable, value in running.environment.items():
        monkeypatch.setenv(variable, value)
    return running


def put_all(server: S3Server, photos: Path) -> None:
    client = server.client()

    def put(path: Path) -> None:
        key = f"photos/{path.relative_to(photos).as_posix()}"
        client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(put, (path for path in photos.rglob("*") if path.is_file())))


def convert(server: S3Server, name: str, *flags: str) -> runs.Finished:
    output = f"s3://{BUCKET}/{name}"
    return runs.run(server.environment, "convert", SOURCE, output, *OPTIONS, "--quiet", *flags)


def content_at(server: S3Server, name: str) -> dict[str, bytes]:
    """Return the files of an object-store dataset, as `content_of` does."""
    client = server.client()
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/")["Contents"]
    names = [entry["Key"].removeprefix(f"{name}/") for entry in found]
    return {
        each: client.get_object(Bucket=BUCKET, Key=f"{name}/{each}")["Body"].read()
        for each in names
        if is_of_dataset(each)
    }


def test_convert_flink_s3_gives_local_bytes_and_logs_no_credentials(
    server: S3Server,
    cluster: FlinkCluster,
    environment: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
) -> None:
    with open_pools(cluster, environment, tmp_path) as (pools, flags):
        assert convert(server, "flink", "--runner=flink", "--", *flags) == (0, "", "")
    assert content_at(server, "flink") == expected
    for process in pools:
        assert "Starting worker" in process.log.read_text()
    # Credentials belong to the pools; the engine does not receive them.
    for log in [*tmp_path.glob("*.log"), *cluster.pools[0].log.parent.glob("*.log")]:
        assert ACCESS_KEY not in log.read_text()
        assert SECRET_KEY not in log.read_text()


def test_convert_flink_s3_workers_without_access_exit_with_status_66(
    server: S3Server,
    cluster: FlinkCluster,
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
    with open_pools(cluster, environment, tmp_path) as (_, flags):
        ended = convert(server, "denied", "--runner=flink", "--", *flags)
    assert ended.status == 66
    assert "access is denied" in ended.errors
    assert len(ended.errors.splitlines()) == 1


def test_convert_spark_s3_gives_local_bytes(
    server: S3Server, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with spark_here(tmp_path) as flags:
        assert convert(server, "spark", "--runner=spark", "--", *flags) == (0, "", "")
    assert content_at(server, "spark") == expected
