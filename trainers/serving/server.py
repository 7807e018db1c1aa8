"""Server process: socket, signals, and an end that answers every accepted request."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import uvicorn

from records.arguments import Positive, build_options, check_arguments
from records.errors import LockedError, UsageError
from records.runtime.logging import log_line
from records.runtime.termination import grace_period
from records.text.formatting import pluralize
from trainers.options import KeptWeights, RejectBelow
from trainers.runs.run_dir import Run, open_run
from trainers.serving.app import load_model, make_app
from trainers.serving.connections import TimedConnection
from trainers.serving.limits import MAX_QUEUE, MAX_UPLOAD_MB, UPLOAD_SECONDS, Limits, MaxPixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from trainers.prediction.result import FilePath
    from trainers.serving.state import ServerState

HOST, PORT = "127.0.0.1", 8000
"""The default address: only programs on this machine reach it."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]

_BACKLOG = 1024
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LAST_REQUESTS_SECONDS = 1.0
_COMPUTE_SECONDS = 15
_POLL_SECONDS = 0.05


@check_arguments
def serve(
    run: FilePath | Run,
    *,
    host: str = HOST,
    port: Port = PORT,
    name: str | None = None,
    max_upload_mb: float = MAX_UPLOAD_MB,
    upload_seconds: float = UPLOAD_SECONDS,
    max_queue: Positive = MAX_QUEUE,
    max_pixels: MaxPixels | None = None,
    weights: KeptWeights | None = None,
    reject_below: RejectBelow | None = None,
    on_start: Callable[[str], None] | None = None,
) -> int:
    """Serve the predictions of a run over HTTP, until SIGINT or SIGTERM stops the server.

    The first signal stops the server as soon as all accepted requests are answered. A second signal
    has its usual effect.

    Args:
        run: the path or URL of a run, or a `Run`.
        host: the name or the address of the interface to listen on; `0.0.0.0` means all.
        port: the TCP port; 0 means any free port.
        name: as for `serving_app`.
        max_upload_mb: as for `serving_app`.
        upload_seconds: as for `serving_app`.
        max_queue: as for `serving_app`.
        max_pixels: as for `serving_app`.
        weights: as for `serving_app`.
        reject_below: as for `serving_app`.
        on_start: a callback that receives the URL of the server when it accepts requests.

    Returns:
        The number of accepted requests that were not answered, because the server had to end.

    Raises:
        LockedError: another program uses the port.
        UsageError: an argument is invalid, the server cannot listen on the address, or the extra
            `serve` is not installed.
        InputNotFoundError: the run does not exist, or has no weights yet.
        CorruptDataError: the configuration, the thresholds or the weights are damaged.
        StorageError: storage failed after retries.
    """
    limits = build_options(
        Limits,
        {
            "max_upload_mb": max_upload_mb,
            "upload_seconds": upload_seconds,
            "max_queue": max_queue,
            "max_pixels": max_pixels,
        },
    )
    with listen(host, port) as listener:
        state = load_model(open_run(run, weights), name, limits, reject_below)
        return run_server(state, listener, on_start or (lambda _url: None))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket on which connections wait until a server accepts them.

    Raises:
        LockedError: another program uses the port.
        UsageError: the address is unknown or not allowed.
    """
    place = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _cannot_listen(place, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)  # now, so that no other program gets the port
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise LockedError(
                "another program uses the port",
                path=place,
                hint="choose another port, or 0 for any free port: --port 0",
            ) from error
        raise _cannot_listen(place, error) from error
    return listener


def run_server(state: ServerState, listener: socket.socket, on_start: Callable[[str], None]) -> int:
    """Answer requests until a signal stops the server; return the number of unanswered requests.

    The server has its own thread, so that this function also works in the main thread of a
    notebook, which has an event loop.
    """
    server = make_server(state, lambda: on_start(_url(listener)))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            server.run(sockets=[listener])
        except BaseException as error:  # raised again in the thread of the caller
            failures.append(error)

    thread = threading.Thread(target=run, name="server", daemon=True)
    with grace_period(_drain_seconds(state) + _COMPUTE_SECONDS), _stopped_by_signals(server, state):
        thread.start()
        thread.join()
    if failures:
        raise failures[0]
    return state.open_requests


def make_server(state: ServerState, on_start: Callable[[], None]) -> uvicorn.Server:
    """Return a server; its method `run` takes sockets.

    Args:
        state: the model and the limits.
        on_start: a function that is called when the server accepts requests.
    """
    config = uvicorn.Config(
        make_app(state),
        http=TimedConnection,
        ws="none",
        loop="asyncio",
        lifespan="on",
        backlog=_BACKLOG,
        log_config=None,
        log_level="critical",  # a client must not fill the log with invalid requests
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_drain_seconds(state),
    )
    return _Server(config, state, on_start)


def _drain_seconds(state: ServerState) -> int:
    return math.ceil(state.limits.upload_seconds) + _COMPUTE_SECONDS


class _Server(uvicorn.Server):
    """A server that answers the requests of open connections before it closes them."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, on_start: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._state = state
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and report it."""
        await super().startup(sockets=sockets)
        if self.started:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, answer requests that are on their way, and close all connections."""
        self._state.is_stopping = True
        await self._close_listeners(sockets or [])
        for _ in range(round(_LAST_REQUESTS_SECONDS / _POLL_SECONDS)):
            if not self.server_state.connections:
                break
            await asyncio.sleep(_POLL_SECONDS)
        await super().shutdown(sockets=sockets)

    async def _close_listeners(self, listeners: list[socket.socket]) -> None:
        """Accept the connections that wait, which the system would reset, and close."""
        accepted: list[socket.socket] = []
        for listener in listeners:
            with suppress(BlockingIOError):
                while True:
                    accepted.append(listener.accept()[0])
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in accepted:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._make_connection, connection)

    def _make_connection(self) -> TimedConnection:
        return TimedConnection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


@contextmanager
def _stopped_by_signals(server: uvicorn.Server, state: ServerState) -> Iterator[None]:
    """Stop the server at the first signal; in threads other than the main thread, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def stop(number: int, _frame: FrameType | None) -> None:
        restore()
        server.should_exit = True
        requests = pluralize(state.open_requests, "request")
        log_line(f"{signal.Signals(number).name}: {requests} to answer before the end")

    for each in _SIGNALS:
        if signal.getsignal(each) is signal.SIG_IGN:  # as of a background job of a shell
            continue
        before[each] = signal.signal(each, stop)
    try:
        yield
    finally:
        restore()


def _cannot_listen(place: str, error: Exception) -> UsageError:
    return UsageError(
        "cannot listen on this address",
        path=place,
        got=getattr(error, "strerror", None) or str(error),
        hint="choose another --host or --port",
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
