"""End of connections whose request was answered before its body was read.

An HTTP server must read the rest of such a body, which may be endless, or close the connection. If
it closes the connection immediately, the system discards the answer, because the client still
sends. So the rest is read, and discarded, for a short time: most clients stop when the answer
arrives.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINGER_SECONDS = 2.0


class UnreadBody:
    """ASGI middleware that closes a connection after an answer to an unread body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        is_read = False

        async def note_end() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            if is_read:
                await send(message)
            elif message["type"] == "http.response.start":
                closing = (b"connection", b"close")
                await send({**message, "headers": [*message.get("headers", ()), closing]})
            elif message.get("more_body", False):
                await send(message)
            else:
                await send({**message, "more_body": True})
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER_SECONDS):
                        while not is_read:
                            await note_end()
                await send({"type": "http.response.body"})

        await self._app(scope, note_end, answer)


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
