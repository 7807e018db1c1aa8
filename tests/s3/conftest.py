"""Fixtures: an S3 server, an empty folder per test, and images with their dataset."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from records.storage.objects.s3 import disconnect
from records.storage.remote.patience import forget_outages
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders
from tests.s3 import runs
from tests.s3.server import BUCKET, S3Server, find_server

FLAGS = ("--test=0.2", "--shards=6", "--quiet")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start a server with one bucket."""
    binary = find_server()
    if binary is None:
        pytest.skip("needs the S3 server of the tests: `make s3-server` builds it")
    server = S3Server(binary, tmp_path_factory.mktemp("s3"))
    server.start()
    server.make_bucket()
    yield server
    server.stop()


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of an empty folder; this process is configured for the server."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    forget_outages()
    disconnect()
    yield f"s3://{BUCKET}/{uuid.uuid4().hex}"
    disconnect()


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 1,500 images of noise, one of them corrupt. Not to be written to."""
    folder = make_folders(tmp_path_factory.mktemp("noise"), cat=700, dog=799)
    make_file(folder, "dog/bad.png", CORRUPT)
    return folder


@pytest.fixture(scope="module")
def photos(noise: Path) -> Path:
    """Return the images to convert; modules with other images replace this fixture."""
    return noise


@pytest.fixture(scope="module")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return the files of a local conversion of the images, with `FLAGS`."""
    target = tmp_path_factory.mktemp("local") / "data"
    assert runs.run({}, "convert", photos, target, *FLAGS) == (0, "", "")
    return content_of(target)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if "/tests/s3/" in item.path.as_posix():
            item.add_marker(pytest.mark.s3)
