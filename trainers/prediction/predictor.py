"""Predictions for image files, image bytes and pixel arrays.

An image is normalized with the settings of the dataset, and decoded by the same code as in
training.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from records.arguments import check_arguments, require_path
from records.errors import ResourceError, ShardmillError, UsageError
from records.images import Rejection, normalize_image
from records.images.rejection import ImageRejectedError
from records.runtime.parallel_map import parallel_map
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.backend import start_backend
from trainers.prediction.image_files import ImageFile, image_file
from trainers.prediction.result import ClassScore, FilePath, FilePrediction, Pixels, Prediction
from trainers.runs.run_dir import Run, open_run
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainers.explanation import ClassActivation

_THREADS = 4
# If images are small, one future per image is slower than a single thread.
_CHUNK_IMAGES = 8
_PREFETCH_BATCHES = 2


class Predictor:
    """The model of a run, loaded once, and the preprocessing of its input.

    Several threads can call the methods at the same time.

    Args:
        run: the path or URL of a run, or a `Run`.

    Raises:
        InputNotFoundError: the run does not exist, or has no weights yet.
        CorruptDataError: the configuration, the thresholds or the weights are damaged.
    """

    @check_arguments
    def __init__(self, run: FilePath | Run) -> None:
        self.run = run if isinstance(run, Run) else open_run(run)
        start_backend()

        import tensorflow as tf

        from trainers.input.decode import decode_images
        from trainers.models.load import load_model

        config = self.run.config
        self._task = task_of(config)
        self._thresholds = read_thresholds(self.run)
        self._model = load_model(self.run)
        # Keras builds the predict function in the first call, which is not thread-safe.
        self._model_lock = Lock()
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
        files = [_image_bytes(image) for image in ([images] if is_single else images)]
        prepared = ((Prediction(), self._prepare(file)) for file in files)
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
            _ = self._explainer  # raises before a file is read
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
            return self._prepare(file.read())
        except ImageRejectedError as error:
            return error.rejection
        except ResourceError:
            raise  # no property of the file
        except OSError as error:
            return Rejection("unreadable", error.strerror or str(error))
        except ShardmillError as error:
            return Rejection("unreadable", str(error.got or error.what))

    def _prepare(self, data: bytes) -> Pixels | Rejection:
        """Return the input of the model for an image file, or the reason for its rejection."""
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
            scores = self._model_scores(images) if images else np.empty((0, 0))
            rows = iter(scores)
            maps = iter(self._activations(images, scores) if explain and images else ())
            for empty, image in batch:
                if isinstance(image, Rejection):
                    yield replace(empty, rejection=image)
                    continue
                described = self._describe(next(rows), top_k)
                yield replace(empty, pixels=image, activation=next(maps, None), **described)

    def _model_scores(self, images: list[Pixels]) -> NDArray[np.float64]:
        """Return probabilities (images, classes), or values (images, 1)."""
        with self._model_lock:
            logits = np.asarray(self._model.predict_on_batch(np.stack(images)))
        return self._task.outputs(logits)

    @cached_property
    def _explainer(self) -> ClassActivation:
        from trainers.explanation import ClassActivation

        return ClassActivation(self._model)

    def _activations(
        self, images: list[Pixels], scores: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Return the class activation maps of the best classes, (images, height, width)."""
        best = scores.argmax(axis=1)
        with self._model_lock:
            return self._explainer.maps(np.stack(images), best)

    def _describe(self, scores: NDArray[np.float64], top_k: int) -> dict[str, Any]:
        """Return the fields of a `Prediction` from the outputs of the task for an image."""
        if self.target is not None:
            return {"value": float(scores[0])}

        def describe(labels: list[int]) -> tuple[ClassScore, ...]:
            names = self.run.labels
            return tuple(ClassScore(names[label], label, float(scores[label])) for label in labels)

        top = describe(np.argsort(-scores, kind="stable")[:top_k].tolist())
        if not self._task.has_thresholds:
            return {"top": top}
        return {"top": top, "chosen": describe(self._task.choose(scores, self._thresholds))}


def check_top_k(top_k: int, run: Run) -> None:
    """Check the number of classes per image for a run. Raises UsageError."""
    if run.target is not None and top_k != 1:
        raise UsageError(
            f"the run predicts a number, {escape_for_display(run.target)}, and has no classes",
            got=f"top_k {top_k!r}",
            hint="omit --top-k",
        )
    if not isinstance(top_k, int) or top_k < 1:
        raise UsageError("invalid top_k", expected="an integer of at least 1", got=repr(top_k))


def _named_file(path: FilePath | ImageFile) -> tuple[FilePath, ImageFile]:
    if isinstance(path, ImageFile):
        return path.name, path
    require_path("paths", path)
    file = image_file(path)
    return (file.name if isinstance(path, str) else path), file


def _image_bytes(image: object) -> bytes:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image must be bytes or an array, not {type(image).__name__}")
    shape = image.shape[:-1] if image.ndim == 3 and image.shape[-1] == 1 else image.shape
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[-1] in {3, 4})
    if image.dtype != np.uint8 or not is_image or 0 in shape:
        raise UsageError(
            "invalid pixels",
            expected="uint8 (height, width) or (height, width, 1, 3 or 4)",
            got=f"{image.dtype} {image.shape}",
        )
    content = io.BytesIO()
    Image.fromarray(image.reshape(shape)).save(content, "PNG", compress_level=1)
    return content.getvalue()


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
