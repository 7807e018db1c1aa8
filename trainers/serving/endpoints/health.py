"""Health of a server, for schedulers and load balancers, and its metrics."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from trainers.serving.state import ServerState


async def healthz(_request: Request) -> Response:
    """Answer that the server lives."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Answer whether the server accepts requests; it starts when the model has been loaded."""
    if request.app.state.server.is_stopping:
        return PlainTextResponse("stopping\n", HTTPStatus.SERVICE_UNAVAILABLE)
    return PlainTextResponse("ok\n")


async def metrics(request: Request) -> Response:
    """Answer with the metrics, for Prometheus."""
    state: ServerState = request.app.state.server
    return Response(state.metrics.encode(), headers={"Content-Type": state.metrics.content_type})


ROUTES = (
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
)
