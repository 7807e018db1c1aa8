"""The model of a server, with its name and its threads."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from records.errors import UsageError
from records.images import Rejection
from records.storage import local_path
from records.text.formatting import pluralize
from records.text.urls import redact_url
from trainers.prediction.predictor import Predictor
from trainers.prediction.result import Prediction
from trainers.serving.batcher import Batcher
from trainers.serving.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.options import RejectBelow
    from trainers.runs.run_dir import Run
    from trainers.serving.batcher import OnBatch
    from trainers.serving.limits import Limits

_OTHER_CHARACTERS = re.compile(r"[^\w.-]+", re.ASCII)


class ServedModel:
    """A model that answers several requests at a time.

    Args:
        run: the run.
        name: the name of the model in addresses; None means that of the run folder.
        limits: the limits of the server.
        reject_below: as for `Predictor`.
        on_batch: as for `Batcher`.

    Raises:
        UsageError: the name contains a character that needs an escape in addresses; or the run does
            not predict one class per image, which `reject_below` requires.
        CorruptDataError: the thresholds or the weights are damaged.
    """

    def __init__(
        self,
        run: Run,
        name: str | None,
        limits: Limits,
        reject_below: RejectBelow | None = None,
        *,
        on_batch: OnBatch,
    ) -> None:
        self.name = _default_name(run) if name is None else _require_name(name)
        self.run = run if limits.max_pixels is None else _limit_pixels(run, limits.max_pixels)
        self.predictor = Predictor(self.run, reject_below=reject_below)
        self.batcher = Batcher(self.predictor, max_queue=limits.max_queue, on_batch=on_batch)
        self.batcher.warm_up()

    async def predict(self, images: Sequence[bytes], *, top_k: int) -> list[Prediction]:
        """Return the predictions for image files, in the order of the files.

        Raises:
            RequestError: too many images wait.
        """
        answers = map(asyncio.wrap_future, self.batcher.submit(images))
        found = await asyncio.gather(*answers)
        return [
            Prediction(rejection=answer)
            if isinstance(answer, Rejection)
            else self.predictor.describe(answer, top_k=top_k)
            for answer in found
        ]


def no_prediction(predictions: Sequence[Prediction]) -> RequestError:
    """Return the error of a request of which no image has a prediction."""
    rejections = [each.rejection for each in predictions if each.rejection is not None]
    return RequestError(
        "no-prediction",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"no prediction for {pluralize(len(rejections), 'image')}",
        got=f"{rejections[0].reason}: {rejections[0].detail}",
    )


def _default_name(run: Run) -> str:
    """Return the name of the run folder, with the characters that need no escape in a URL."""
    path = local_path(run.location)
    name = Path(path).resolve().name if path is not None else ""
    last = name or redact_url(run.location).rstrip("/").rpartition("/")[2]
    return _OTHER_CHARACTERS.sub("-", last).strip("-") or "model"


def _require_name(name: str) -> str:
    if not name or _OTHER_CHARACTERS.search(name):
        raise UsageError(
            "invalid name of a model", expected="letters, digits, `.`, `_` and `-`", got=name
        )
    return name


def _limit_pixels(run: Run, max_pixels: int) -> Run:
    images = msgspec.structs.replace(run.config.images, max_pixels=max_pixels)
    return replace(run, config=msgspec.structs.replace(run.config, images=images))
