"""Classifying image files: as the dataset's images were made, so is each file, then decoded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import tensorflow as tf

from records.errors import ShardmillError
from records.images import Rejection, normalize_image
from records.runtime.parallel_map import parallel_map
from trainers.evaluation.metrics import softmax
from trainers.input.decode import decode_images
from trainers.models.load import load_model
from trainers.runs.run_dir import open_run

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from trainers.prediction.find_images import ImageFile
    from trainers.runs.run_dir import Run

_THREADS = 4
# A future an image is slower than none where images are small.
_CHUNK_FILES = 8
_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Prediction:
    """What a model says of an image.

    Args:
        scores: (label, probability), the highest first.
        pixels: what the model was fed, uint8 (height, width, channels).
    """

    scores: tuple[tuple[int, float], ...]
    pixels: NDArray[np.uint8]


class FilePrediction(NamedTuple):
    """A file, and what the model says of it, or why it is no image that can be classified."""

    file: str
    result: Prediction | Rejection


class Predictor:
    """A run's model, loaded once, and what an image goes through on its way there.

    `trainers.backend.start_backend` is to be called before this module is imported.

    Args:
        run: with weights.

    Raises:
        CorruptDataError: the weights are damaged.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._model = load_model(run)
        # What cannot be decoded must be known here, also where the dataset left that unchecked.
        self._options = msgspec.structs.replace(run.config.images, check="decode")
        self._decode = tf.function(
            lambda encoded: decode_images(encoded, self._options, run.config.shape),
            input_signature=[tf.TensorSpec((None,), tf.string)],
        )

    @classmethod
    def open(cls, location: str | os.PathLike[str]) -> Predictor:
        """The predictor of the run in a folder. Raises as `open_run`, and CorruptDataError."""
        return cls(open_run(location))

    def classify(self, images: Sequence[bytes], *, top_k: int = 1) -> list[Prediction | Rejection]:
        """What the model says of image files, by their bytes.

        Args:
            images: whole image files.
            top_k: how many classes to name.

        Returns:
            For each a prediction, or why there is none.
        """
        return list(self._score(map(self._prepare, images), top_k))

    def predict_files(
        self, files: Sequence[ImageFile], *, top_k: int = 1
    ) -> Generator[FilePrediction, None, None]:
        """What the model says of each file, in their order, while the next are read.

        Args:
            files: see `trainers.prediction.find_images.find_images`.
            top_k: how many classes to name.
        """
        results = self._score(self._read_ahead(files), top_k)
        for file, result in zip(files, results, strict=True):
            yield FilePrediction(file.name, result)

    def _read_ahead(self, files: Iterable[ImageFile]) -> Iterator[NDArray[np.uint8] | Rejection]:
        """What `_prepare` makes of each file: pixels, so that few whole files are in memory."""
        ahead = _BATCHES_AHEAD * self.run.config.options.batch_size // _CHUNK_FILES + _THREADS
        chunks = parallel_map(
            lambda chunk: [self._read(file) for file in chunk],
            _split(files, _CHUNK_FILES),
            threads=_THREADS,
            prefetch=ahead,
        )
        return chain.from_iterable(chunks)

    def _read(self, file: ImageFile) -> NDArray[np.uint8] | Rejection:
        try:
            return self._prepare(file.read())
        except OSError as error:
            return Rejection("unreadable", error.strerror or str(error))
        except ShardmillError as error:
            return Rejection("unreadable", str(error.got or error.what))

    def _prepare(self, data: bytes) -> NDArray[np.uint8] | Rejection:
        """An image file as a record would hold it, and of that the pixels the model is fed."""
        stored = normalize_image(data, self._options)
        if isinstance(stored, Rejection):
            return stored
        try:
            # As in training, where no GPU resizes.
            with tf.device("CPU"):
                pixels: NDArray[np.uint8] = self._decode(tf.constant([stored.encoded]))[0].numpy()
        except tf.errors.InvalidArgumentError as error:
            return Rejection("corrupt", error.message.partition("\n")[0])
        return pixels

    def _score(
        self, prepared: Iterable[NDArray[np.uint8] | Rejection], top_k: int
    ) -> Iterator[Prediction | Rejection]:
        for batch in _fill_batches(prepared, self.run.config.options.batch_size):
            images = [image for image in batch if not isinstance(image, Rejection)]
            rows = iter(self._model_scores(images) if images else ())
            for image in batch:
                if isinstance(image, Rejection):
                    yield image
                else:
                    yield Prediction(_best(next(rows), top_k), image)

    def _model_scores(self, images: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Probabilities (images, classes)."""
        return softmax(np.asarray(self._model.predict_on_batch(np.stack(images))))


def _split(files: Iterable[ImageFile], size: int) -> Iterator[list[ImageFile]]:
    remaining = iter(files)
    while part := list(islice(remaining, size)):
        yield part


def _fill_batches(
    prepared: Iterable[NDArray[np.uint8] | Rejection], size: int
) -> Iterator[list[NDArray[np.uint8] | Rejection]]:
    """Batches of `size` images, and the rejections between them.

    Of another number of images the step would have to be compiled anew.
    """
    batch: list[NDArray[np.uint8] | Rejection] = []
    images = 0
    for item in prepared:
        batch.append(item)
        images += not isinstance(item, Rejection)
        # Whoever has nothing but rejections wants to know it too.
        if size in {images, len(batch) - images}:
            yield batch
            batch, images = [], 0
    if batch:
        yield batch


def _best(scores: NDArray[np.float64], top_k: int) -> tuple[tuple[int, float], ...]:
    order = np.argsort(-scores, kind="stable")[:top_k]
    return tuple((int(label), float(scores[label])) for label in order)
