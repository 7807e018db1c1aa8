"""Predictions for image files, image bytes and pixel arrays.

An image is normalized with the settings of the dataset, and decoded by the same code as in
training.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from records.arguments import check_arguments, require_path
from records.errors import ResourceError, ShardmillError, UsageError
from records.images import Rejection, normalize_image
from records.images.rejection import ImageRejectedError
from records.runtime.parallel_map import parallel_map
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.backend import start_backend
from trainers.options import KeptWeights, RejectBelow, Views
from trainers.prediction.image_files import ImageFile, encode_image, image_file
from trainers.prediction.model import LoadedModel
from trainers.prediction.option_checks import check_reject_below, check_top_k
from trainers.prediction.result import (
    ClassScore,
    FilePath,
    FilePrediction,
    ImageOutputs,
    Pixels,
    Prediction,
)
from trainers.runs.run_dir import Run, open_run
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Generator

_THREADS = 4
# If images are small, one future per image is slower than a single thread.
_CHUNK_IMAGES = 8
_PREFETCH_BATCHES = 2


class Predictor:
    """The model of a run, loaded once, and the preprocessing of its input.

    Several threads can call the methods at the same time.

    Args:
        run: the path or URL of a run, or a `Run`.
        weights: the weights of the run: those of the `best` or of the `last` epoch; None means the
            best or, for a `Run`, those that it was opened with.
        reject_below: the score of the best class below which an image shows none of the classes, so
            that its prediction has `none_of_these`; `auto` rejects an image if it is less similar
            to the training images of its best class than 95 % of the validation images. None
            means that the best class is always predicted.
        tta: the number of views of each image whose scores are averaged: the image, mirrored, and
            corners of it.

    Raises:
        InputNotFoundError: the run does not exist, or has no weights yet.
        UsageError: the run does not predict one class per image, which `reject_below` requires, or
            has no class means, which `auto` requires.
        CorruptDataError: the configuration, the thresholds, the class means or the weights are
            damaged.
    """

    @check_arguments
    def __init__(
        self,
        run: FilePath | Run,
        *,
        weights: KeptWeights | None = None,
        reject_below: RejectBelow | None = None,
        tta: Views = 1,
    ) -> None:
        self.run = open_run(run, weights)
        check_reject_below(self.run, reject_below)
        self.reject_below = reject_below
        start_backend()

        import tensorflow as tf

        from trainers.input.decode import decode_images

        config = self.run.config
        self._task = task_of(config)
        self._thresholds = read_thresholds(self.run)
        self._model = LoadedModel(self.run, reject_below, tta)
        self._options = config.images.for_prediction
        self._decode = tf.function(
            lambda encoded: decode_images(encoded, self._options, config.shape, config.decoder),
            input_signature=[tf.TensorSpec((None,), tf.string)],
        )

    def __repr__(self) -> str:
        run, model = escape_for_display(self.run.location), self.run.config.options.model
        classes = pluralize(len(self.run.labels), "class")
        predicted = classes if self.target is None else f"target {escape_for_display(self.target)}"
        return f"<Predictor {run}: {model}, {predicted}>"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of all classes, in the order of their labels; empty for a target."""
        return tuple(self.run.labels) if self.target is None else ()

    @property
    def target(self) -> str | None:
        """The name of the column whose values are predicted; None if classes are predicted."""
        return self.run.target

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The score from which each class is predicted; empty if each image has one label."""
        return self._thresholds

    def predict(
        self,
        images: bytes | Pixels | Iterable[bytes | Pixels],
        *,
        top_k: int = 1,
        explain: bool = False,
    ) -> list[Prediction]:
        """Return the predictions for images in memory, in the order of the images.

        Args:
            images: image files as bytes, or arrays of pixels, uint8 (height, width) or (height,
                width, channels) with 1, 3 (RGB) or 4 (RGBA) channels. For a single image, the
                result is a list with one prediction.
            top_k: the number of classes per image.
            explain: whether to compute the class activation map of each prediction.

        Raises:
            TypeError: an image has an invalid type.
            UsageError: an array has an invalid dtype or shape, or `top_k` is below 1, or not 1 for
                a target, or a model without a convolutional map cannot be explained.
        """
        check_top_k(top_k, self.run)
        is_single = isinstance(images, bytes | bytearray | memoryview) or (
            isinstance(images, np.ndarray) and images.ndim < 4
        )
        if isinstance(images, str) or not (is_single or isinstance(images, Iterable)):
            raise TypeError(f"images must be bytes or arrays, not {type(images).__name__}")
        files = [encode_image(image) for image in ([images] if is_single else images)]
        prepared = ((Prediction(), self.prepare(file)) for file in files)
        return list(self._score(prepared, top_k, explain=explain))

    def predict_files(
        self, paths: Iterable[FilePath | ImageFile], *, top_k: int = 1, explain: bool = False
    ) -> Generator[FilePrediction, None, None]:
        """Yield the predictions for files, in the order of the files.

        The prediction for a file that cannot be read or is not an image has a `rejection`.

        Args:
            paths: the paths or URLs of files, or the result of `find_images`. Files are read
                ahead; an iterator advances at most a few batches beyond the last prediction.
            top_k: the number of classes per file.
            explain: whether to compute the class activation map of each prediction.

        Raises:
            TypeError: `paths` is not iterable.
            UsageError: an element is not a path (raised before any file is read if `paths` is a
                sequence), `paths` is a single path, a URL cannot be opened, or `top_k` is below 1,
                or not 1 for a target, or a model without a convolutional map cannot be explained.
        """
        check_top_k(top_k, self.run)
        if isinstance(paths, str | bytes | os.PathLike):
            raise UsageError(
                "predict_files takes several paths, not one path", hint="pass a list: [path]"
            )
        if not isinstance(paths, Iterable):
            raise TypeError(f"paths must be an iterable of paths, not {type(paths).__name__}")
        files: Iterable[tuple[FilePath, ImageFile]] = map(_named_file, paths)
        if isinstance(paths, Sequence):
            files = list(files)
        if explain:
            _ = self._model.explainer  # raises before a file is read
        return self._predict_files(files, top_k, explain=explain)

    def _predict_files(
        self, files: Iterable[tuple[FilePath, ImageFile]], top_k: int, *, explain: bool
    ) -> Generator[FilePrediction, None, None]:
        yield from self._score(self._read_ahead(files), top_k, explain=explain)

    def _read_ahead(
        self, files: Iterable[tuple[FilePath, ImageFile]]
    ) -> Iterator[tuple[FilePrediction, Pixels | Rejection]]:
        batch_size = self.run.config.options.batch_size
        # The threads return pixels, so that only a few complete files are in memory.
        chunks = parallel_map(
            lambda chunk: [(FilePrediction(path=path), self._read(file)) for path, file in chunk],
            _split(files, _CHUNK_IMAGES),
            threads=_THREADS,
            prefetch=_PREFETCH_BATCHES * batch_size // _CHUNK_IMAGES + _THREADS,
        )
        for chunk in chunks:
            yield from chunk

    def _read(self, file: ImageFile) -> Pixels | Rejection:
        try:
            return self.prepare(file.read())
        except ImageRejectedError as error:
            return error.rejection
        except ResourceError:
            raise  # no property of the file
        except OSError as error:
            return Rejection("unreadable", error.strerror or str(error))
        except ShardmillError as error:
            return Rejection("unreadable", str(error.got or error.what))

    def prepare(self, data: bytes) -> Pixels | Rejection:
        """Return the input of the model for an image file, or the reason for its rejection.

        Returns:
            Pixels, uint8 (height, width, channels).
        """
        import tensorflow as tf

        stored = normalize_image(data, self._options)
        if isinstance(stored, Rejection):
            return stored
        try:
            # On the CPU, as in training, which never resizes on a GPU.
            with tf.device("CPU"):
                pixels: Pixels = self._decode(tf.constant([stored.encoded]))[0].numpy()
        except tf.errors.InvalidArgumentError as error:
            return Rejection("corrupt", error.message.partition("\n")[0])
        return pixels

    def _score(
        self, prepared: Iterable[tuple[Any, Pixels | Rejection]], top_k: int, *, explain: bool
    ) -> Iterator[Any]:
        """Complete each prediction with its classes, its value or its rejection."""
        for batch in _fill_batches(prepared, self.run.config.options.batch_size):
            images = [image for _, image in batch if not isinstance(image, Rejection)]
            outputs = self.outputs(images) if images else []
            rows = iter(outputs)
            maps = iter(self._model.activations(images, outputs) if explain and images else ())
            for empty, image in batch:
                if isinstance(image, Rejection):
                    yield replace(empty, rejection=image)
                    continue
                described = self._describe(next(rows), top_k)
                yield replace(empty, pixels=image, activation=next(maps, None), **described)

    def outputs(self, images: Sequence[Pixels]) -> list[ImageOutputs]:
        """Return the outputs of the model for one batch of results of `prepare`.

        The model may be compiled for each number of images.
        """
        return self._model.outputs(images)

    def describe(self, outputs: ImageOutputs, *, top_k: int = 1) -> Prediction:
        """Return the prediction for an image from its `outputs`."""
        return Prediction(**self._describe(outputs, top_k))

    def _describe(self, outputs: ImageOutputs, top_k: int) -> dict[str, Any]:
        """Return the fields of a `Prediction` from the outputs of the model for an image."""
        scores = outputs.scores
        if self.target is not None:
            return {"value": float(scores[0])}

        def describe(labels: list[int]) -> tuple[ClassScore, ...]:
            names = self.run.labels
            return tuple(ClassScore(names[label], label, float(scores[label])) for label in labels)

        top = describe(np.argsort(-scores, kind="stable")[:top_k].tolist())
        if self._task.has_thresholds:
            return {"top": top, "chosen": describe(self._task.choose(scores, self._thresholds))}
        return {"top": top, "none_of_these": outputs.none_of_these}


def _named_file(path: FilePath | ImageFile) -> tuple[FilePath, ImageFile]:
    if isinstance(path, ImageFile):
        return path.name, path
    require_path("paths", path)
    file = image_file(path)
    return (file.name if isinstance(path, str) else path), file


def _split(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part


def _fill_batches(
    prepared: Iterable[tuple[Any, Pixels | Rejection]], size: int
) -> Iterator[list[tuple[Any, Pixels | Rejection]]]:
    """Yield batches of `size` images, with the rejections between these images.

    For a batch with a different number of images, the model would be compiled again. Only the last
    batch, or a batch with `size` rejections, may be smaller.
    """
    batch: list[tuple[Any, Pixels | Rejection]] = []
    images = 0
    for item in prepared:
        batch.append(item)
        images += not isinstance(item[1], Rejection)
        # A batch also ends after `size` rejections, so that results arrive if most files are bad.
        if size in {images, len(batch) - images}:
            yield batch
            batch, images = [], 0
    if batch:
        yield batch
