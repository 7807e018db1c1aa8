"""Conversions from bucket to bucket: same bytes as local ones."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from records import verify
from records.format import layout
from records.runtime.storage_patience import VARIABLE
from records.storage import Storage, open_storage
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders
from tests.s3 import runs
from tests.s3.conftest import FLAGS
from tests.s3.outputs import content_at, shards_at
from tests.s3.proxy import NO_FAULT, Fault, Proxy, always, random_faults, running
from tests.s3.server import BUCKET, S3Server

SOURCE = f"s3://{BUCKET}/photos"
IN_CHILDREN = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def photos(request: pytest.FixtureRequest) -> Path:
    """Return the flowers of the test data, or images of noise without it."""
    try:
        return Path(request.getfixturevalue("shared_data")) / "flowers"
    except pytest.skip.Exception:
        return Path(request.getfixturevalue("noise"))


@pytest.fixture(scope="module")
def source(server: S3Server, photos: Path) -> str:
    """Upload the photos to the bucket."""
    client = server.client()

    def put(path: Path) -> None:
        key = f"photos/{path.relative_to(photos).as_posix()}"
        client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, (path for path in photos.rglob("*") if path.is_file())))
    return SOURCE


@pytest.fixture
def target(s3: str) -> Storage:
    """Return an empty output folder."""
    return open_storage(s3)


def test_convert_s3_twice_gives_local_bytes_and_third_run_reports_nothing_to_do(
    source: str, target: Storage, server: S3Server, expected: Mapping[str, bytes]
) -> None:
    for number in (1, 2):
        url = f"{target.url}/{number}"
        assert runs.run(server.environment, "convert", source, url, *FLAGS) == (0, "", "")
        assert content_at(open_storage(url)) == expected
    again = runs.run(server.environment, "convert", source, f"{target.url}/2", *FLAGS[:2])
    assert again.status == 0
    assert "nothing to do" in again.output


def test_convert_s3_source_to_local_output_gives_local_bytes(
    source: str, server: S3Server, expected: Mapping[str, bytes], tmp_path: Path
) -> None:
    back = tmp_path / "back"
    assert runs.run(server.environment, "convert", source, back, *FLAGS) == (0, "", "")
    assert content_of(back) == expected


def test_convert_local_source_to_s3_output_gives_local_bytes(
    photos: Path, target: Storage, server: S3Server, expected: Mapping[str, bytes]
) -> None:
    assert runs.run(server.environment, "convert", photos, target.url, *FLAGS) == (0, "", "")
    assert content_at(target) == expected


def test_convert_s3_worker_processes_give_local_bytes(
    source: str, target: Storage, server: S3Server, expected: Mapping[str, bytes]
) -> None:
    ended = runs.run(server.environment, "convert", source, target.url, *FLAGS, *IN_CHILDREN)
    assert ended == (0, "", "")
    assert content_at(target) == expected


def test_convert_s3_concurrent_run_is_refused_with_status_75(
    source: str, target: Storage, server: S3Server, expected: Mapping[str, bytes]
) -> None:
    processes = [
        runs.start(server.environment, "convert", source, target.url, *FLAGS) for _ in range(2)
    ]
    one, other = sorted(map(runs.finish, processes))
    assert one == (0, "", "")
    assert other.status == runs.BUSY
    assert f"shardmill: {target.url}: another run " in other.errors
    assert content_at(target) == expected


def test_convert_s3_killed_runs_resume_and_keep_finished_shards(
    source: str, target: Storage, server: S3Server, expected: Mapping[str, bytes]
) -> None:
    command = ("convert", source, target.url, *FLAGS)
    kept: dict[str, str | None] = {}
    for shards in (0, 1, 3):
        process = runs.start(server.environment, *command)
        runs.wait_for(lambda: target.stat(layout.LEASE) is not None, process)
        runs.wait_for(lambda: len(shards_at(target)) // 2 >= shards, process)  # noqa: B023
        process.kill()
        process.communicate()
        assert target.stat(layout.MANIFEST) is None
        now = shards_at(target)
        assert kept.items() <= now.items(), "a finished shard was written again"
        kept = now
        time.sleep(3.5)  # its lease has expired then
    assert runs.run_when_free(server.environment, *command) == (0, "", "")
    assert content_at(target) == expected
    assert kept.items() <= shards_at(target).items()


def test_convert_s3_server_outage_is_retried_then_exits_with_status_74_and_resumes(
    source: str, target: Storage, server: S3Server, expected: Mapping[str, bytes]
) -> None:
    """A short outage is retried; a long one is one line, and the next run resumes."""
    command = ("convert", source, target.url, *FLAGS)
    process = runs.start({**server.environment, VARIABLE: "10s"}, *command)
    runs.wait_for(lambda: len(shards_at(target)) >= 2, process)
    server.stop()
    time.sleep(2)
    server.start()
    runs.wait_for(lambda: len(shards_at(target)) >= 4, process)
    server.stop()
    ended = runs.finish(process)
    server.start()
    assert ended.status == 74
    assert "storage does not respond after retries" in ended.errors
    assert ended.errors.count("\n") == 1
    kept = shards_at(target)
    assert runs.run_when_free(server.environment, *command) == (0, "", "")
    assert content_at(target) == expected
    assert kept.items() <= shards_at(target).items()


def test_convert_s3_suspended_run_is_refused_after_takeover(
    source: str, target: Storage, server: S3Server, expected: Mapping[str, bytes]
) -> None:
    command = ("convert", source, target.url, *FLAGS)
    process = runs.start(server.environment, *command)
    runs.wait_for(lambda: len(shards_at(target)) >= 2, process)
    process.send_signal(signal.SIGSTOP)
    assert runs.run_when_free(server.environment, *command) == (0, "", "")
    finished = shards_at(target)
    process.send_signal(signal.SIGCONT)
    suspended = runs.finish(process)
    assert suspended.status == runs.BUSY
    assert "another run took over" in suspended.errors
    assert shards_at(target) == finished
    # The next run removes what it still wrote into the work folder.
    assert runs.run_when_free(server.environment, *command) == (0, "", "")
    assert content_at(target) == expected


class TestUnreliableNetwork:
    @pytest.fixture
    def few(self, server: S3Server, tmp_path: Path, s3: str) -> tuple[str, dict[str, bytes]]:
        """Upload images; return their URL and the files of their conversion."""
        folder = make_folders(tmp_path / "few", cat=60, dog=59)
        make_file(folder, "dog/bad.png", CORRUPT)
        for path in folder.rglob("*.png"):
            open_storage(f"{s3}/few").replace(
                path.relative_to(folder).as_posix(), path.read_bytes()
            )
        assert runs.run({}, "convert", folder, tmp_path / "data", *FLAGS) == (0, "", "")
        return f"{s3}/few", content_of(tmp_path / "data")

    def test_convert_s3_transient_errors_are_retried(
        self, few: tuple[str, dict[str, bytes]], target: Storage, server: S3Server
    ) -> None:
        url = f"{target.url}/data"
        with running(Proxy(server.port, random_faults(5, 0.05))) as proxy:
            environment = {**server.environment, "AWS_ENDPOINT_URL": proxy.endpoint}
            assert runs.run(environment, "convert", few[0], url, *FLAGS) == (0, "", "")
            assert sum(fault != NO_FAULT for fault in proxy.faults) > 5
        assert content_at(open_storage(url)) == few[1]

    def test_convert_s3_persistent_errors_exit_with_status_74_and_rerun_completes(
        self, few: tuple[str, dict[str, bytes]], target: Storage, server: S3Server
    ) -> None:
        url = f"{target.url}/data"
        with running(Proxy(server.port)) as proxy:
            environment = {**server.environment, "AWS_ENDPOINT_URL": proxy.endpoint}

            def turn(method: str, path: str) -> Fault:
                if "/test-0" in path and method == "PUT":
                    proxy.plan = always(Fault(status=503))
                return NO_FAULT

            proxy.plan = turn
            ended = runs.run({**environment, VARIABLE: "3s"}, "convert", few[0], url, *FLAGS)
            assert ended.status == 74
            assert "storage failed after retries, got 503" in ended.errors
            assert ended.errors.count("\n") == 1
            assert open_storage(url).stat(layout.MANIFEST) is None
            proxy.plan = always(NO_FAULT)
            assert runs.run_when_free(environment, "convert", few[0], url, *FLAGS) == (0, "", "")
        assert content_at(open_storage(url)) == few[1]
        assert list(verify(url, decode=True)) == []
