"""Metrics, log and number of the requests of a server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from records.runtime.logging import log_event

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from trainers.serving.state import ServerState

_UNKNOWN = "unknown"
_CLOSE = (b"connection", b"close")


class Access:
    """ASGI middleware that counts each request, and logs it if the log consists of JSON lines.

    When the server stops, it also asks clients to send no further requests on their connections.
    """

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at, status = time.perf_counter(), 0

        async def note_status(message: Message) -> None:
            nonlocal status
            status = int(message.get("status", status))
            if self._state.is_stopping and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        self._state.open_requests += 1
        try:
            await self._app(scope, receive, note_status)
        finally:
            if status:  # otherwise the server ends before the answer
                self._state.open_requests -= 1
            seconds = time.perf_counter() - started_at
            endpoint = getattr(scope.get("endpoint"), "__name__", _UNKNOWN)
            self._state.metrics.count_request(endpoint, status, seconds)
            log_event(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=round(seconds, 6),
                client=scope["client"][0] if scope.get("client") else None,
            )
