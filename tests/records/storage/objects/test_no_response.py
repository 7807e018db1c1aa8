"""Servers that cannot be reached for a reason that stays: TLS certificates, unknown names."""

from __future__ import annotations

import importlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from records.errors import ShardmillError, UsageError
from records.storage.objects import open_object_storage
from records.storage.remote.patience import forget_outages

LONG_SECONDS = 30.0
MODULES = {"s3": ("s3", "botocore"), "gs": ("gcs", "google.auth"), "az": ("azure", "azure.storage")}
CERTIFICATE_VARIABLES = {"s3": "AWS_CA_BUNDLE", "gs": "SSL_CERT_FILE", "az": "REQUESTS_CA_BUNDLE"}


@pytest.fixture(params=MODULES)
def scheme(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a scheme whose package is installed."""
    module, package = MODULES[request.param]
    pytest.importorskip(package)
    client = importlib.import_module(f"records.storage.objects.{module}")
    client.disconnect()
    forget_outages()
    yield request.param
    client.disconnect()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 that only itself signs."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem"),
            *("-out", folder / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "certificate.pem"


class _Refuses(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        pass


@pytest.fixture(scope="module")
def port(certificate: Path) -> Iterator[int]:
    """Start a server that refuses every request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = HTTPServer(("127.0.0.1", 0), _Refuses)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def settings(scheme: str, address: str) -> Mapping[str, str]:
    """Return the environment that names a server."""
    if scheme == "s3":
        return {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    if scheme == "gs":
        return {"STORAGE_EMULATOR_HOST": address}
    text = f"AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint={address}/a;"
    return {"AZURE_STORAGE_CONNECTION_STRING": text}


def request_error(
    scheme: str, address: str, monkeypatch: pytest.MonkeyPatch, *, writes: bool = False
) -> ShardmillError:
    """Return the error of a read or a write, which must come without waiting."""
    for name, value in settings(scheme, address).items():
        monkeypatch.setenv(name, value)
    storage = open_object_storage(f"{scheme}://photos/data", patience_seconds=LONG_SECONDS)
    with pytest.raises(ShardmillError) as found:
        storage.replace("a", b"") if writes else storage.read("a")
    return found.value


@pytest.mark.parametrize(("writes", "exit_code"), [(False, 66), (True, 73)])
def test_untrusted_certificate_is_reported_immediately_with_variable(
    scheme: str, port: int, monkeypatch: pytest.MonkeyPatch, *, writes: bool, exit_code: int
) -> None:
    error = request_error(scheme, f"https://127.0.0.1:{port}", monkeypatch, writes=writes)
    assert error.exit_code == exit_code
    assert error.what == "the TLS connection to the server failed"
    assert "self-signed certificate" in str(error.got)
    assert CERTIFICATE_VARIABLES[scheme] in str(error.hint)


def test_certificate_of_variable_is_trusted(
    scheme: str, port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CERTIFICATE_VARIABLES[scheme], str(certificate))
    error = request_error(scheme, f"https://127.0.0.1:{port}", monkeypatch)
    assert error.what == "access is denied"
    assert str(error.got).startswith("403")
    assert error.exit_code == 66


def test_server_without_tls_is_reported_immediately(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Refuses)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        error = request_error(scheme, f"https://127.0.0.1:{server.server_port}", monkeypatch)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert error.what == "the TLS connection to the server failed"


def test_unknown_host_is_reported_immediately(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = request_error(scheme, "http://storage.invalid", monkeypatch)
    assert isinstance(error, UsageError)
    assert error.what == "the name of the server is unknown"
