"""A proxy before an S3 server that has bad weather: it delays, cuts, loses, and answers errors.

One request a connection, which is closed after its answer. What happens to each request a function
says, which is called with its method and path.
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

Kind = Literal["pass", "refuse", "cut-request", "cut-answer", "lose-answer", "silence"]
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>bad weather</Message></Error>"
_CODES = {500: "InternalError", 503: "SlowDown"}


@dataclass(frozen=True)
class Fate:
    """What happens to a request.

    Args:
        kind: `refuse` closes before it is read; `cut-request` forwards half of it; `cut-answer`
            gives back half of the answer, `lose-answer` none of it; `silence` does nothing more.
        status: answered instead of asking the server, where it is not 0.
        delay_seconds: before anything else.
    """

    kind: Kind = "pass"
    status: int = 0
    delay_seconds: float = 0.0


Weather = Callable[[str, str], Fate]
"""Told a request's method and path."""
FAIR = Fate()


def always(fate: Fate) -> Weather:
    """The same for every request."""
    return lambda _method, _path: fate


def storm(seed: int, share: float) -> Weather:
    """Something bad for about this share of all requests, the same for the same seed."""
    chance = random.Random(seed)
    bad = [
        *(Fate("refuse"), Fate("cut-request"), Fate("cut-answer"), Fate("lose-answer")),
        *(Fate(status=500), Fate(status=503), Fate(delay_seconds=0.3)),
    ]
    return lambda _method, _path: chance.choice(bad) if chance.random() < share else FAIR


@dataclass
class Proxy:
    """The proxy; `seen` has the method and path of every request, `fates` what became of it."""

    server_port: int
    weather: Weather = lambda _method, _path: FAIR
    port: int = field(default_factory=free_port)
    seen: list[tuple[str, str]] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, ready: threading.Event, over: asyncio.Event) -> None:
        """Serve until it is over."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        async with server:
            ready.set()
            await over.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._handle(reader, writer)
        writer.transport.abort()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.decode("latin-1").split(" ", 2)
        fate = self.weather(method, path)
        self.seen.append((method, path))
        self.fates.append(fate)
        await asyncio.sleep(fate.delay_seconds)
        if fate.kind == "refuse":
            return
        fields = _fields(head)
        if "100-continue" in fields.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if fate.kind == "silence":
            await asyncio.sleep(3600)
        answer = _error(fate.status) if fate.status else await self._ask(head, body, fate)
        if method == "HEAD" and fate.status:
            answer = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        if fate.kind == "cut-answer":
            answer = answer[: len(answer) // 2]
        if fate.kind != "lose-answer":
            writer.write(answer)
            await writer.drain()
            if fate.kind != "cut-answer":
                writer.write_eof()
                await reader.read()  # until the other side closes too: an abort would lose the end

    async def _ask(self, head: bytes, body: bytes, fate: Fate) -> bytes:
        """The server's whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        try:
            writer.write(_closing(head))
            if fate.kind == "cut-request":
                writer.write(body[: len(body) // 2])
                await writer.drain()
                return b""
            writer.write(body)
            return await _read_answer(reader, is_head=head.startswith(b"HEAD "))
        finally:
            writer.transport.abort()


async def _read_answer(reader: asyncio.StreamReader, *, is_head: bool) -> bytes:
    # Not up to its end: a server that refuses what it has not read resets the connection then.
    head = await reader.readuntil(b"\r\n\r\n")
    if is_head:
        return head
    return head + await reader.readexactly(int(_fields(head).get("content-length", "0")))


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """Serve on a thread while the block runs."""
    ready, loop, over = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(ready, over)))
    thread.start()
    ready.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").lower().split("\r\n")[1:]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _closing(head: bytes) -> bytes:
    """A request's head that asks the server to close; the headers changed are not signed."""
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
