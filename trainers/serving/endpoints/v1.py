"""REST interface: predictions for image files, description of the model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from starlette.routing import Route

from records.version import __version__
from trainers.prediction.option_checks import check_top_k
from trainers.prediction.output import to_result
from trainers.serving.errors import error_parts, invalid, json_response
from trainers.serving.served_model import no_prediction
from trainers.serving.uploads import find_images

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from trainers.runs.run_dir import Run
    from trainers.serving.state import ServerState

_PACKAGES = ("keras", "tensorflow")
_DIGITS = 9


async def predict(request: Request) -> Response:
    """Answer with the predictions for the image, or the files of the form, in the body."""
    state: ServerState = request.app.state.server
    top_k = _parse_top_k(request, state.model.run)
    state.require_vacancy()
    async with state.uploads.read(request) as body:
        images = await find_images(request, body, limit=state.limits.max_queue)
        predictions = await state.model.predict([each.content for each in images], top_k=top_k)
    pairs = zip(images, predictions, strict=True)
    results = [to_result(image.name, prediction) for image, prediction in pairs]
    if any(each.rejection is None for each in predictions):
        return json_response({"predictions": results})
    error = no_prediction(predictions)
    state.metrics.count_rejected(error.reason)
    return json_response({"error": error_parts(error), "predictions": results}, error.status)


async def model(request: Request) -> Response:
    """Answer with the description of the model."""
    state: ServerState = request.app.state.server
    run = state.model.run
    shape = run.config.shape
    return json_response(
        {
            "name": state.model.name,
            "model": run.config.architecture.model,
            "task": run.config.task,
            "target": run.target,
            "classes": list(state.model.predictor.class_names),
            "thresholds": list(state.model.predictor.thresholds),
            "reject_below": state.model.predictor.reject_below,
            "height_px": shape.height_px,
            "width_px": shape.width_px,
            "channels": shape.channels,
            "max_upload_bytes": state.limits.max_upload_bytes,
            "versions": {"shardmill": __version__, **_versions()},
        }
    )


ROUTES = (
    Route("/v1/predict", predict, methods=["POST"]),
    Route("/v1/model", model),
)


def _versions() -> dict[str, str]:
    return {name: str(importlib.import_module(name).__version__) for name in _PACKAGES}


def _parse_top_k(request: Request, run: Run) -> int:
    """Return the number of classes per image. Raises UsageError or RequestError."""
    text = request.query_params.get("top_k", "1")
    if not text.isdecimal():
        raise invalid("invalid top_k", expected="a whole number of at least 1", got=text)
    top_k = int(text[:_DIGITS])
    check_top_k(top_k, run)
    return top_k
