"""Fixtures: an S3 server, and an empty folder per test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from records.storage.objects.s3 import disconnect
from records.storage.remote.patience import forget_outages
from tests.s3.server import BUCKET, S3Server, find_server


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if "/tests/s3/" in item.path.as_posix():
            item.add_marker(pytest.mark.s3)
