"""ASGI application of a server, for any ASGI server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from records.arguments import Positive, build_options, check_arguments
from records.errors import ShardmillError
from trainers.options import KeptWeights, RejectBelow
from trainers.runs.run_dir import Run, open_run
from trainers.serving.access import Access
from trainers.serving.endpoints import health, v1, v2
from trainers.serving.endpoints.page import page_routes
from trainers.serving.errors import explain, to_response
from trainers.serving.limits import MAX_QUEUE, MAX_UPLOAD_MB, UPLOAD_SECONDS, Limits, MaxPixels
from trainers.serving.metrics import ServerMetrics
from trainers.serving.served_model import ServedModel
from trainers.serving.state import ServerState
from trainers.serving.unread_body import UnreadBody
from trainers.serving.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from trainers.prediction.result import FilePath

_ERRORS = (ShardmillError, HTTPException, ClientDisconnect, Exception)


@check_arguments
def serving_app(
    run: FilePath | Run,
    *,
    name: str | None = None,
    max_upload_mb: float = MAX_UPLOAD_MB,
    upload_seconds: float = UPLOAD_SECONDS,
    max_queue: Positive = MAX_QUEUE,
    max_pixels: MaxPixels | None = None,
    weights: KeptWeights | None = None,
    reject_below: RejectBelow | None = None,
) -> ASGIApp:
    """Return an ASGI application that answers with the predictions of a run.

    The model is loaded before the function returns. Several applications can be mounted in one
    server, for several models.

    Args:
        run: the path or URL of a run, or a `Run`.
        name: the name of the model in the addresses of the V2 protocol; None means the name of the
            run folder.
        max_upload_mb: the maximum size of the body of a request, in MB.
        upload_seconds: the time in which the body of a request must arrive, in seconds.
        max_queue: the maximum number of images that wait for their predictions.
        max_pixels: the maximum number of pixels of an image; None means that of the dataset.
        weights: as for `Predictor`.
        reject_below: as for `Predictor`; the answers then have the field `none_of_these`.

    Raises:
        UsageError: an argument is invalid, or the extra `serve` is not installed.
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
    return make_app(load_model(open_run(run, weights), name, limits, reject_below))


def load_model(
    run: FilePath | Run, name: str | None, limits: Limits, reject_below: RejectBelow | None = None
) -> ServerState:
    """Load the model of a run, and return the state of a server. Raises as `serving_app`."""
    opened, metrics = open_run(run), ServerMetrics()
    model = ServedModel(opened, name, limits, reject_below, on_batch=metrics.count_batch)
    metrics.watch_queue(lambda: model.batcher.waiting)
    return ServerState(model, limits, Uploads(limits), metrics)


def make_app(state: ServerState) -> ASGIApp:
    """Return the application of a server."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(state.model.batcher.close)

    app = Starlette(
        routes=[*page_routes(), *health.ROUTES, *v1.ROUTES, *v2.ROUTES],
        exception_handlers=dict.fromkeys(_ERRORS, _answer_error),
        lifespan=lifespan,
    )
    app.state.server = state
    return Access(UnreadBody(app), state)


async def _answer_error(request: Request, error: Exception) -> Response:
    state: ServerState = request.app.state.server
    found = explain(error)
    state.metrics.count_rejected(found.reason)
    return to_response(found, as_text=request.scope.get("endpoint") in v2.ENDPOINTS)
