"""Servers of three clouds on the loopback interface: versitygw, fake-gcs-server, Azurite.

`make cloud-servers` fetches them. The tests of a server that is not found are reported as skipped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.s3 import server as s3

SERVERS = Path(__file__).parents[2] / ".cloud-servers"
BUCKET = s3.BUCKET
CLOUDS = ("s3", "gs", "az")
AZURE_ACCOUNT = "devstoreaccount1"
# The key of every Azurite, from its documentation.
AZURE_KEY = "".join(
    ("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq", "/K1SZFPTOtr/KBHBeksoGMGw==")
)
_START_SECONDS = 60.0


@dataclass
class CloudServer:
    """A running server with one bucket.

    Args:
        scheme: `s3`, `gs` or `az`.
        folder: for the files of the server.
    """

    scheme: str
    folder: Path
    port: int = field(default_factory=s3.free_port)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, wait until it listens, and make the bucket."""
        if self.scheme == "s3":
            server = s3.S3Server(require_program("versitygw"), self.folder)
            server.start()
            server.make_bucket()
            self.port, self._process = server.port, server._process  # noqa: SLF001
            return
        self._process = subprocess.Popen(
            _command(self.scheme, self.port, self.folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _START_SECONDS
        while not s3._listens("127.0.0.1", self.port):  # noqa: SLF001
            assert self._process.poll() is None, "the server ended at once"
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.05)
        self._make_bucket()

    def stop(self) -> None:
        """Kill the server."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def environment(self, port: int | None = None) -> Mapping[str, str]:
        """Return the environment that configures a client for this server, or a proxy of it."""
        address = f"127.0.0.1:{port or self.port}"
        if self.scheme == "s3":
            return s3.environment_for(f"http://{address}")
        if self.scheme == "gs":
            return {"STORAGE_EMULATOR_HOST": f"http://{address}"}
        return {"AZURE_STORAGE_CONNECTION_STRING": azure_connection(address)}

    def _make_bucket(self) -> None:
        if self.scheme == "gs":
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/storage/v1/b",
                data=b'{"name": "%s"}' % BUCKET.encode(),
                headers={"Content-Type": "application/json"},
            )
            urllib.request.urlopen(request).close()
        else:
            from azure.storage.blob import ContainerClient

            connection = azure_connection(f"127.0.0.1:{self.port}")
            ContainerClient.from_connection_string(connection, BUCKET).create_container()


def azure_connection(address: str, key: str = f"AccountKey={AZURE_KEY}") -> str:
    """Return the connection string of an Azurite."""
    endpoint = f"http://{address}/{AZURE_ACCOUNT}"
    return (
        f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};{key};BlobEndpoint={endpoint};"
    )


def find_program(name: str) -> Path | None:
    """Return a program that `make cloud-servers` fetches, or the one on PATH."""
    if name == "versitygw":
        return s3.find_server()
    fetched = SERVERS / ("node_modules/.bin" if name == "azurite-blob" else "") / name
    if fetched.exists():
        return fetched
    found = shutil.which(name)
    return None if found is None else Path(found)


def program_of(scheme: str) -> str:
    """Return the name of the server of a cloud."""
    return {"s3": "versitygw", "gs": "fake-gcs-server", "az": "azurite-blob"}[scheme]


def require_program(name: str) -> Path:
    """Return the path of a program that the caller has found before."""
    found = find_program(name)
    assert found is not None
    return found


def _command(scheme: str, port: int, folder: Path) -> list[str]:
    program = str(require_program(program_of(scheme)))
    if scheme == "gs":
        return [
            *(program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
            *("-backend", "memory", "-public-host", f"127.0.0.1:{port}"),
            *("-external-url", f"http://127.0.0.1:{port}", "-log-level", "error"),
        ]
    return [
        *(program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"),
        *("--disableTelemetry", "--skipApiVersionCheck", "--location", os.fspath(folder)),
    ]
