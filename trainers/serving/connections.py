"""HTTP connections with a limit on the wait for a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

_HEAD_SECONDS = 10.0
"""The time until the head of a request is complete, from the connection or the last answer."""


class TimedConnection(H11Protocol):
    """A connection of uvicorn, which has no limit on the time that the head of a request takes."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._expect_request(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        self._stop_waiting()

    def on_response_complete(self) -> None:
        """Start to wait for the next request."""
        answered = self.cycle
        super().on_response_complete()  # a request that has already arrived begins here
        self._expect_request(answered)

    def _expect_request(self, answered: RequestResponseCycle | None) -> None:
        self._stop_waiting()

        def close_if_none_began() -> None:
            if self.cycle is answered and not self.transport.is_closing():
                self.transport.close()

        self._deadline = self.loop.call_later(_HEAD_SECONDS, close_if_none_began)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
