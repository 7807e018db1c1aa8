"""Classifying image files: as the dataset's images were made, so is each file, then decoded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from records.errors import NoInputError
from records.images import IMAGE_EXTENSIONS, Rejection, StoredImage, sniff, store_image
from trainers.decoder import decode_images
from trainers.metrics import softmax
from trainers.weights import load_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import keras
    from numpy.typing import NDArray

    from trainers.run_folder import Run

_MAGIC_BYTES = 64


@dataclass(frozen=True)
class Prediction:
    """What a model says of one file.

    Args:
        path: the file.
        scores: (label, probability), the highest first.
        pixels: what the model was fed, uint8 (height, width, channels).
    """

    path: Path
    scores: tuple[tuple[int, float], ...]
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Refusal:
    """A file that is no image that could be classified, and why."""

    path: Path
    rejection: Rejection


def find_images(locations: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files named, and below the folders named those that look like images, sorted.

    Raises:
        NoInputError: a name is neither, or a folder has no images.
    """
    found: list[Path] = []
    for path in map(Path, locations):
        if path.is_dir():
            below = sorted(file for file in _walk(path) if _looks_like_image(file))
            if not below:
                raise NoInputError("there is no image in this folder", path=str(path))
            found += below
        elif path.exists():
            found.append(path)
        else:
            raise NoInputError("there is no such file or folder", path=str(path))
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _looks_like_image(path: Path) -> bool:
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        return True
    try:
        with path.open("rb") as file:
            return sniff(file.read(_MAGIC_BYTES)) is not None
    except OSError:
        return False


def predict(run: Run, paths: Iterable[Path], *, top_k: int) -> Iterator[Prediction | Refusal]:
    """What a run's model says of each file, in their order.

    Args:
        run: with weights.
        paths: image files.
        top_k: how many classes to name.

    Raises:
        DamagedError: the weights are damaged.
    """
    model = load_model(run)
    remaining = iter(paths)
    while batch := list(islice(remaining, run.config.options.batch_size)):
        yield from _predict_batch(run, model, batch, top_k)


def _predict_batch(
    run: Run, model: keras.Model, paths: list[Path], top_k: int
) -> Iterator[Prediction | Refusal]:
    images = [_read_image(run, path) for path in paths]
    stored = [image.encoded for image in images if isinstance(image, StoredImage)]
    answers = _classify(run, model, stored) if stored else iter(())
    for path, image in zip(paths, images, strict=True):
        if isinstance(image, Rejection):
            yield Refusal(path, image)
        else:
            pixels, scores = next(answers)
            yield Prediction(path, _best(scores, top_k), pixels)


def _classify(
    run: Run, model: keras.Model, encoded: list[bytes]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """For each stored image its pixels as the model sees them, and every class's probability."""
    pixels = decode_images(tf.constant(encoded), run.config.images, run.config.shape).numpy()
    return zip(pixels, softmax(np.asarray(model.predict_on_batch(pixels))), strict=True)


def _read_image(run: Run, path: Path) -> StoredImage | Rejection:
    try:
        data = path.read_bytes()
    except OSError as error:
        return Rejection("unreadable", error.strerror or str(error))
    return store_image(data, run.config.images)


def _best(scores: NDArray[np.float64], top_k: int) -> tuple[tuple[int, float], ...]:
    order = np.argsort(-scores, kind="stable")[:top_k]
    return tuple((int(label), float(scores[label])) for label in order)
