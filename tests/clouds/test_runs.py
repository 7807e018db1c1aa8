"""Conversions and training runs on three clouds: two writers, kills, outages, bad networks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from records import verify
from records.format import layout
from records.storage import Storage, open_storage
from tests.clouds.servers import AZURE_ACCOUNT, AZURE_KEY, BUCKET, CloudServer, azure_connection
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders, make_picture
from tests.s3 import runs
from tests.s3.outputs import content_at
from tests.s3.proxy import NO_FAULT, Fault, FaultPlan, Proxy, always, random_faults, running

FLAGS = ("--test=0.2", "--shards=6")
FIRST_SHARD = layout.shard_name("train", 0, 6)
OUTAGE_SECONDS = 60.0
TRAIN = ("--model=cnn", "--epochs=2", "--image-size=32", "--batch-size=8")
_NOTICE = re.compile(r"note: \w+://[\w-]+ (does not answer|fails) .*; retrying until \d\d:\d\d")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images of two classes, and one damaged file."""
    folder = make_folders(tmp_path_factory.mktemp("photos") / "photos", cat=60, dog=59)
    make_file(folder, "dog/bad.png", CORRUPT)
    return folder


@pytest.fixture(scope="module")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return the files of a local conversion."""
    target = tmp_path_factory.mktemp("local") / "data"
    assert runs.run({}, "convert", photos, target, *FLAGS).status == 0
    return content_of(target)


@pytest.fixture
def source(cloud: str, photos: Path) -> str:
    """Upload the images."""
    storage = open_storage(f"{cloud}/photos")
    for path in photos.rglob("*.png"):
        storage.replace(path.relative_to(photos).as_posix(), path.read_bytes())
    return storage.url


@pytest.fixture
def target(cloud: str) -> Storage:
    """Return an empty output folder."""
    return open_storage(f"{cloud}/data")


@pytest.fixture
def proxy(server: CloudServer) -> Iterator[Proxy]:
    """Start a proxy in front of the server."""
    with running(Proxy(server.port)) as proxy:
        yield proxy


def shards_at(target: Storage) -> set[str]:
    """Return the names of finished shards."""
    return {name for name in target.list() if layout.parse_shard_name(name)}


def away_after(requests: int, is_counted: Callable[[str, str], bool]) -> FaultPlan:
    """Return a plan of an outage that begins after some requests, and ends after a minute."""
    left, ends_at = requests, 0.0

    def plan(method: str, path: str) -> Fault:
        nonlocal left, ends_at
        if left and is_counted(method, path):
            left -= 1
            ends_at = time.monotonic() + OUTAGE_SECONDS
        return Fault("refuse") if not left and time.monotonic() < ends_at else NO_FAULT

    return plan


def is_write(method: str, _path: str) -> bool:
    return method in {"PUT", "POST"}


def is_read_of_shard(method: str, path: str) -> bool:
    return method == "GET" and ".tfrecord" in path and "index" not in path


def test_convert_cloud_gives_local_bytes_and_second_run_reports_nothing_to_do(
    source: str, target: Storage, server: CloudServer, expected: Mapping[str, bytes]
) -> None:
    command = ("convert", source, target.url, *FLAGS)
    assert runs.run(server.environment(), *command, "--quiet") == (0, "", "")
    assert content_at(target) == expected
    again = runs.run(server.environment(), *command)
    assert again.status == 0
    assert "nothing to do" in again.output


def test_convert_cloud_concurrent_run_is_refused_with_status_75(
    source: str, target: Storage, server: CloudServer, expected: Mapping[str, bytes]
) -> None:
    command = ("convert", source, target.url, *FLAGS)
    processes = [runs.start(server.environment(), *command) for _ in range(2)]
    one, other = sorted(map(runs.finish, processes), key=lambda ended: ended.status)
    assert one.status == 0
    # The slower process may find the finished dataset instead of the lease.
    assert other.status == runs.BUSY or "nothing to do" in other.output
    assert content_at(target) == expected


def test_convert_cloud_killed_runs_resume(
    source: str, target: Storage, server: CloudServer, expected: Mapping[str, bytes]
) -> None:
    command = ("convert", source, target.url, *FLAGS)
    for shards in (0, 2):
        process = runs.start(server.environment(), *command)
        runs.wait_for(lambda: target.stat(layout.LEASE) is not None, process)
        runs.wait_for(lambda: len(shards_at(target)) >= shards, process)  # noqa: B023
        process.kill()
        process.communicate()
        assert target.stat(layout.MANIFEST) is None
        time.sleep(3.5)  # its lease has expired then
    assert runs.run_when_free(server.environment(), *command).status == 0
    assert content_at(target) == expected


@pytest.mark.parametrize("name", [layout.LABELS, layout.REPORT, FIRST_SHARD])
def test_file_of_user_in_unfinished_cloud_output_is_kept(
    source: str,
    target: Storage,
    server: CloudServer,
    expected: Mapping[str, bytes],
    name: str,
) -> None:
    command = ("convert", source, target.url, *FLAGS)
    assert runs.run(server.environment(), *command, "--max-rejects=0").status == 65
    target.replace(name, b"mine")
    refused = runs.run(server.environment(), *command)
    assert refused.status == 73
    assert f"{target.display_name(name)}: shardmill did not write this file" in refused.errors
    cleaned = runs.run(server.environment(), "clean", target.url)
    assert cleaned.status == 0
    assert f"{target.display_name(name)}: kept" in cleaned.errors
    assert {each: target.read(each) for each in target.list()} == {name: b"mine"}
    target.remove(name)
    assert runs.run(server.environment(), *command).status == 0
    assert content_at(target) == expected


def test_convert_cloud_unreliable_network_gives_local_bytes(
    source: str,
    target: Storage,
    server: CloudServer,
    proxy: Proxy,
    expected: Mapping[str, bytes],
) -> None:
    proxy.plan = random_faults(7, 0.1)
    command = ("convert", source, target.url, *FLAGS)
    ended = runs.run(server.environment(proxy.port), *command)
    assert ended.status == 0, ended.errors
    assert sum(fault != NO_FAULT for fault in proxy.faults) > 5
    assert content_at(target) == expected
    assert list(verify(target.url, decode=True)) == []


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_convert_and_append_cloud_continue_after_outage_of_a_minute(
    source: str,
    target: Storage,
    server: CloudServer,
    proxy: Proxy,
    expected: Mapping[str, bytes],
) -> None:
    command = ("convert", source, target.url, *FLAGS)
    proxy.plan = away_after(8, is_write)
    ended = runs.run(server.environment(proxy.port), *command)
    assert ended.status == 0, ended.errors
    assert len(_NOTICE.findall(ended.errors)) == 1, ended.errors
    assert content_at(target) == expected
    content = make_picture(500, kind="JPEG", size=(40, 40))
    open_storage(f"{source}/cat").replace("new.jpg", content)
    proxy.plan = away_after(4, is_write)
    ended = runs.run(server.environment(proxy.port), *command, "--append")
    assert ended.status == 0, ended.errors
    assert len(_NOTICE.findall(ended.errors)) == 1, ended.errors
    assert list(verify(target.url)) == []


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_train_cloud_continues_after_outage_of_a_minute(
    photos: Path, target: Storage, server: CloudServer, proxy: Proxy, tmp_path: Path
) -> None:
    assert runs.run(server.environment(), "convert", photos, target.url, *FLAGS).status == 0
    proxy.plan = away_after(3, is_read_of_shard)
    ended = runs.run(server.environment(proxy.port), "train", target.url, tmp_path / "run", *TRAIN)
    assert ended.status == 0, ended.errors
    assert Fault("refuse") in proxy.faults
    assert len(_NOTICE.findall(ended.errors)) == 1, ended.errors


def test_convert_cloud_away_longer_than_patience_exits_with_status_74(
    source: str, target: Storage, server: CloudServer, proxy: Proxy
) -> None:
    proxy.plan = always(Fault("refuse"))
    ended = runs.run(
        server.environment(proxy.port),
        *("convert", source, target.url, "--storage-patience", "8s"),
    )
    assert ended.status == 74
    assert "storage does not respond after retries" in ended.errors
    assert len(_NOTICE.findall(ended.errors)) == 1, ended.errors


@pytest.mark.parametrize("status", [401, 403])
def test_convert_cloud_credentials_that_may_not_write_are_refused_at_once(
    source: str, target: Storage, server: CloudServer, proxy: Proxy, status: int
) -> None:
    refusal = Fault(status=status)
    proxy.plan = lambda method, _path: refusal if is_write(method, "") else NO_FAULT
    ended = runs.run(server.environment(proxy.port), "convert", source, target.url)
    assert ended.status == 73
    assert f"access is denied, got {status}" in ended.errors
    assert ended.errors.count("\n") == 1
    assert proxy.faults.count(refusal) == 1
    assert target.list() == []


@pytest.mark.parametrize("status", [401, 403])
def test_convert_cloud_credentials_that_may_not_read_end_at_once_with_status_66(
    target: Storage, server: CloudServer, proxy: Proxy, tmp_path: Path, status: int
) -> None:
    refusal = Fault(status=status)
    proxy.plan = always(refusal)
    ended = runs.run(server.environment(proxy.port), "convert", target.url, tmp_path / "data")
    assert ended.status == 66
    assert f"access is denied, got {status}" in ended.errors
    assert ended.errors.count("\n") == 1
    assert proxy.faults.count(refusal) == 1


def test_convert_azure_read_only_token_is_refused_at_once(
    source: str, target: Storage, server: CloudServer
) -> None:
    if server.scheme != "az":
        pytest.skip("a token that may only read is a thing of Azure")
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    token = generate_container_sas(
        AZURE_ACCOUNT,
        BUCKET,
        account_key=AZURE_KEY,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    connection = azure_connection(f"127.0.0.1:{server.port}", f"SharedAccessSignature={token}")
    environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
    ended = runs.run(environment, "convert", source, target.url)
    assert ended.status == 73
    assert re.search(r"access is denied, got 403 \w+", ended.errors)
    assert token not in ended.errors
    assert ended.errors.count("\n") == 1
