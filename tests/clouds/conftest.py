"""Fixtures: a server per cloud, and an empty folder per test."""

from __future__ import annotations

import importlib
import sys
import uuid
from collections.abc import Iterator

import pytest

from records.storage.remote.patience import forget_outages
from tests.clouds.servers import BUCKET, CLOUDS, CloudServer, find_program, program_of

_CLIENTS = ("s3", "gcs", "azure")
_PACKAGES = {"s3": "botocore", "gs": "google.auth", "az": "azure.storage.blob"}


def forget_connections() -> None:
    """Discard all clients of this process: the next request reads the environment again."""
    for name in _CLIENTS:
        module = sys.modules.get(f"records.storage.objects.{name}")
        if module is not None:
            module.disconnect()
    forget_outages()


@pytest.fixture(scope="session", params=CLOUDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CloudServer]:
    """Start the server of a cloud."""
    program = program_of(request.param)
    if find_program(program) is None:
        pytest.skip(f"needs {program}: `make cloud-servers` fetches it")
    try:
        importlib.import_module(_PACKAGES[request.param])
    except ImportError:
        pytest.skip(f"needs the package {_PACKAGES[request.param]}")
    server = CloudServer(request.param, tmp_path_factory.mktemp(request.param))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def cloud(server: CloudServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of an empty folder; this process is configured for the server."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    forget_connections()
    yield f"{server.scheme}://{BUCKET}/{uuid.uuid4().hex}"
    forget_connections()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if "/tests/clouds/" in item.path.as_posix():
            item.add_marker(pytest.mark.clouds)
