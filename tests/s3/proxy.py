"""A proxy in front of an S3 server that injects network faults.

Each connection carries one request and is closed after its response. A function of method and path
chooses the fault of each request.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.s3.server import free_port

Kind = Literal["pass", "refuse", "cut-request", "cut-response", "lose-response", "silence"]
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>"
_CODES = {500: "InternalError", 503: "SlowDown"}


@dataclass(frozen=True)
class Fault:
    """The fault of one request.

    Args:
        kind: `refuse` closes before the request is read; `cut-request` forwards half of it;
            `cut-response` returns half of the response, `lose-response` none; `silence` waits.
        status: of an error response that the server never produced, unless 0.
        delay_seconds: the wait before anything else.
    """

    kind: Kind = "pass"
    status: int = 0
    delay_seconds: float = 0.0


FaultPlan = Callable[[str, str], Fault]
"""Returns the fault of a request with this method and path."""
NO_FAULT = Fault()


def always(fault: Fault) -> FaultPlan:
    """Return a plan with the same fault for every request."""
    return lambda _method, _path: fault


def random_faults(seed: int, share: float) -> FaultPlan:
    """Return a plan with random faults for a share of all requests, reproducible by seed."""
    rng = random.Random(seed)
    bad = [
        *(Fault("refuse"), Fault("cut-request"), Fault("cut-response"), Fault("lose-response")),
        *(Fault(status=500), Fault(status=503), Fault(delay_seconds=0.3)),
    ]
    return lambda _method, _path: rng.choice(bad) if rng.random() < share else NO_FAULT


@dataclass
class Proxy:
    """The proxy; `seen` has the method and path of every request, `faults` its fault."""

    server_port: int
    plan: FaultPlan = lambda _method, _path: NO_FAULT
    port: int = field(default_factory=free_port)
    seen: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """Return the URL."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Serve until an event is set."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        async with server:
            ready.set()
            await stop.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._handle(reader, writer)
        writer.transport.abort()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.decode("latin-1").split(" ", 2)
        fault = self.plan(method, path)
        self.seen.append((method, path))
        self.faults.append(fault)
        await asyncio.sleep(fault.delay_seconds)
        if fault.kind == "refuse":
            return
        fields = _fields(head)
        if "100-continue" in fields.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if fault.kind == "silence":
            await asyncio.sleep(3600)
        response = _error(fault.status) if fault.status else await self._forward(head, body, fault)
        if method == "HEAD" and fault.status:
            response = response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        if fault.kind == "cut-response":
            response = response[: len(response) // 2]
        if fault.kind != "lose-response":
            writer.write(response)
            await writer.drain()
            if fault.kind != "cut-response":
                writer.write_eof()
                await reader.read()  # until the other side closes too: an abort would lose the end

    async def _forward(self, head: bytes, body: bytes, fault: Fault) -> bytes:
        """Return the complete response of the server."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        try:
            writer.write(_closing(head))
            if fault.kind == "cut-request":
                writer.write(body[: len(body) // 2])
                await writer.drain()
                return b""
            writer.write(body)
            return await _read_response(reader, is_head=head.startswith(b"HEAD "))
        finally:
            writer.transport.abort()


async def _read_response(reader: asyncio.StreamReader, *, is_head: bool) -> bytes:
    # Not up to its end: a server that refuses a body that it has not read resets the connection.
    head = await reader.readuntil(b"\r\n\r\n")
    if is_head:
        return head
    fields = _fields(head)
    if "chunked" in fields.get("transfer-encoding", ""):
        return head + await reader.read()  # the request asked the server to close
    return head + await reader.readexactly(int(fields.get("content-length", "0")))


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """Serve on a thread while the block runs."""
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(ready, stop)))
    thread.start()
    ready.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").lower().split("\r\n")[1:]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _closing(head: bytes) -> bytes:
    """Return a request head with `Connection: close`; the changed headers are not signed."""
    lines = [
        line
        for line in head.rstrip(b"\r\n").split(b"\r\n")
        if not line.lower().startswith((b"connection:", b"expect:"))
    ]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


def _error(status: int) -> bytes:
    body = _ERROR.format(code=_CODES.get(status, "Unknown")).encode()
    return (
        f"HTTP/1.1 {status} Bad\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
