"""KServe's V2 protocol (Open Inference Protocol) over HTTP.

The input is a tensor of image files in base64. The outputs are those of an exported SavedModel.
"""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.routing import Route

from records.text.formatting import pluralize
from records.version import __version__
from trainers.serving.errors import RequestError, invalid, json_response
from trainers.serving.served_model import no_prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from trainers.prediction.result import ClassScore, Prediction
    from trainers.serving.served_model import ServedModel
    from trainers.serving.state import ServerState

_IMAGE, _BYTES, _FLOAT = "image", "BYTES", "FP32"
_MOST_SHOWN = 100


class InferInput(msgspec.Struct):
    """An input tensor of a request."""

    name: str
    shape: list[int]
    datatype: str
    data: list[str]


class InferOutput(msgspec.Struct):
    """An output that a request asks for."""

    name: str


class InferRequest(msgspec.Struct):
    """The body of a request; other fields of the protocol have no effect."""

    inputs: list[InferInput]
    id: str | None = None
    outputs: list[InferOutput] | None = None


async def server(_request: Request) -> Response:
    """Answer with the description of the server."""
    return json_response({"name": "shardmill", "version": __version__, "extensions": []})


async def server_live(_request: Request) -> Response:
    """Answer that the server lives."""
    return json_response({"live": True})


async def server_ready(request: Request) -> Response:
    """Answer whether the server accepts requests."""
    return _ready(request, {})


async def model_ready(request: Request) -> Response:
    """Answer whether the model accepts requests."""
    return _ready(request, {"name": _find_model(request).name})


async def model_metadata(request: Request) -> Response:
    """Answer with the inputs and outputs of the model."""
    model = _find_model(request)
    classes = len(model.predictor.class_names)
    return json_response(
        {
            "name": model.name,
            "versions": [],
            "platform": "shardmill_run",
            "inputs": [_tensor(_IMAGE, _BYTES, [-1])],
            "outputs": [
                _tensor(name, kind, [-1] if model.run.target is not None else [-1, classes])
                for name, kind in _outputs(model).items()
            ],
        }
    )


async def infer(request: Request) -> Response:
    """Answer with the outputs for the images of a request."""
    state: ServerState = request.app.state.server
    model = _find_model(request)
    state.require_vacancy()
    async with state.uploads.read(request) as body:
        given = _decode(body)
        names = _choose_outputs(given, model)
        images = _decode_images(given.inputs)
        top_k = 1 if model.run.target is not None else len(model.predictor.class_names)
        predictions = await model.predict(images, top_k=top_k)
    if any(each.rejection is not None for each in predictions):
        raise no_prediction(predictions)  # a tensor has no place for the reason of one image
    outputs = [_encode(name, _outputs(model)[name], predictions, model) for name in names]
    answer = {"model_name": model.name, "outputs": outputs}
    return json_response(answer if given.id is None else {**answer, "id": given.id})


_MODEL = "/v2/models/{name}"
ROUTES = (
    Route("/v2", server),
    Route("/v2/health/live", server_live),
    Route("/v2/health/ready", server_ready),
    Route(_MODEL, model_metadata),
    Route(f"{_MODEL}/ready", model_ready),
    Route(f"{_MODEL}/infer", infer, methods=["POST"]),
)
ENDPOINTS = frozenset(route.endpoint for route in ROUTES)
"""The handlers, whose errors are texts."""


def _find_model(request: Request) -> ServedModel:
    state: ServerState = request.app.state.server
    if request.path_params["name"] != state.model.name:
        raise RequestError(
            "invalid",
            HTTPStatus.NOT_FOUND,
            "model not found",
            expected=state.model.name,
            got=request.path_params["name"],
        )
    return state.model


def _ready(request: Request, names: dict[str, str]) -> Response:
    is_ready = not request.app.state.server.is_stopping
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return json_response({**names, "ready": is_ready}, status)


def _outputs(model: ServedModel) -> dict[str, str]:
    """Return the data types of the outputs by name."""
    if model.run.target is not None:
        return {"value": _FLOAT}
    outputs = {"classes": _BYTES, "scores": _FLOAT}
    return {**outputs, "thresholds": _FLOAT} if model.predictor.thresholds else outputs


def _decode(body: bytes) -> InferRequest:
    try:
        return msgspec.json.decode(body, type=InferRequest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid("the request does not follow the V2 protocol", got=str(error)) from error


def _choose_outputs(given: InferRequest, model: ServedModel) -> Sequence[str]:
    known = _outputs(model)
    names = [each.name for each in given.outputs or ()] or [*known]
    for name in names:
        if name not in known:
            raise invalid("unknown output", expected=", ".join(known), got=name[:_MOST_SHOWN])
    if len(names) > len({*names}):
        raise invalid("an output is requested twice", expected=f"each of {', '.join(known)} once")
    return names


def _decode_images(inputs: Sequence[InferInput]) -> list[bytes]:
    if [(each.name, each.datatype) for each in inputs] != [(_IMAGE, _BYTES)]:
        raise invalid(
            "unknown inputs",
            expected=f"one input {_IMAGE} of type {_BYTES}",
            got=", ".join(f"{each.name} of type {each.datatype}" for each in inputs),
        )
    (image,) = inputs
    if image.shape != [len(image.data)] or not image.data:
        raise invalid(
            "the shape does not fit the data",
            expected=f"[{max(len(image.data), 1)}]",
            got=f"{image.shape} with {pluralize(len(image.data), 'image')}",
        )
    try:
        return [base64.b64decode(text, validate=True) for text in image.data]
    except (binascii.Error, ValueError) as error:
        raise invalid("an image is not base64", got=str(error)) from error


def _encode(
    name: str, kind: str, predictions: Sequence[Prediction], model: ServedModel
) -> dict[str, Any]:
    if name == "value":
        return _tensor(name, kind, [len(predictions)], [each.value for each in predictions])
    rows: dict[str, Any] = {
        "classes": lambda each: each.name,
        "scores": lambda each: each.score,
        "thresholds": lambda each: model.predictor.thresholds[each.label],
    }
    top: list[ClassScore] = [each for prediction in predictions for each in prediction.top]
    shape = [len(predictions), len(model.predictor.class_names)]
    return _tensor(name, kind, shape, [rows[name](each) for each in top])


def _tensor(
    name: str, kind: str, shape: list[int], data: list[Any] | None = None
) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": name, "datatype": kind, "shape": shape}
    return tensor if data is None else {**tensor, "data": data}
