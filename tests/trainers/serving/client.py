"""HTTP client of the standard library, and unusual requests."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

SECONDS = 60
BOUNDARY = "bound"


@dataclass(frozen=True)
class Answer:
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The JSON document."""
        return json.loads(self.content)


class Client:
    """The client of a server.

    Args:
        url: the URL of the server.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.url = url
        self.address = parts.hostname, parts.port

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, named)

    def predict(self, image: bytes, query: str = "") -> Answer:
        return self.post(f"/v1/predict{query}", image)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = HTTPConnection(*self.address, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return make_answer(response)
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=SECONDS)


def make_answer(response: HTTPResponse) -> Answer:
    """Return a response, with the names of its headers in lower case."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def read_answer(connection: socket.socket) -> Answer:
    """Return the response on a socket."""
    response = HTTPResponse(connection)
    response.begin()
    return make_answer(response)


def head(**headers: object) -> bytes:
    """Return the head of a POST request for a prediction."""
    named = {"Host": "localhost", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join(["POST /v1/predict HTTP/1.1", *lines, "", ""]).encode()


def form(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a form with files."""
    parts = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: image/png\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files
    )
    return parts + f"--{BOUNDARY}--\r\n".encode()


FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
