"""Batches of images from concurrent requests.

A few threads prepare the images. One thread calls the model: while it computes a batch, the images
of further requests wait, and are in the next batches. So a batch grows with the load, and an image
never waits for images that have not arrived.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from records.images import Rejection
from records.runtime.cpu import available_cpus
from records.text.formatting import pluralize
from trainers.prediction.result import ImageOutputs
from trainers.serving.errors import busy, invalid

if TYPE_CHECKING:
    from trainers.prediction.predictor import Predictor
    from trainers.prediction.result import Pixels

Answer: TypeAlias = ImageOutputs | Rejection
OnBatch: TypeAlias = Callable[[int, float], None]

_BATCH_SIZES = (1, 4, 16, 32)
"""The numbers of images per call of the model, which may be compiled for each of them."""


class Batcher:
    """The threads that compute the outputs for images.

    Args:
        predictor: the model.
        max_queue: the maximum number of images without an answer.
        on_batch: a function that receives the number of images of each batch, and the seconds
            that the model took.
    """

    def __init__(self, predictor: Predictor, *, max_queue: int, on_batch: OnBatch) -> None:
        self._predictor = predictor
        self._max_queue = max_queue
        self._on_batch = on_batch
        self._lock = threading.Lock()
        self._waiting = 0
        self._prepared: SimpleQueue[tuple[Pixels, Future[Answer]] | None] = SimpleQueue()
        self._preparers = ThreadPoolExecutor(available_cpus(), thread_name_prefix="prepare")
        self._model = threading.Thread(target=self._run_model, name="model", daemon=True)
        self._model.start()

    @property
    def waiting(self) -> int:
        """Return the number of images without an answer."""
        return self._waiting

    @property
    def is_full(self) -> bool:
        """Return whether no image is accepted now."""
        return self._waiting >= self._max_queue

    def warm_up(self) -> None:
        """Compute a batch of each size, so that no request waits for functions to be compiled."""
        image = np.zeros(self._predictor.run.config.shape.array_shape, np.uint8)
        self._predictor.predict(image)
        for size in _BATCH_SIZES:
            self._predictor.outputs([image] * size)

    def submit(self, images: Sequence[bytes]) -> list[Future[Answer]]:
        """Return a future for the outputs, or the rejection, of each image file.

        Raises:
            RequestError: too many images wait, or there are more than may ever wait.
        """
        if len(images) > self._max_queue:
            raise invalid(
                "too many images in one request",
                expected=f"at most {self._max_queue:,}",
                got=pluralize(len(images), "image"),
            )
        with self._lock:
            if self._waiting + len(images) > self._max_queue:
                raise busy("too many images are waiting")
            self._waiting += len(images)
        return [self._submit(image) for image in images]

    def close(self) -> None:
        """Answer the images that wait, and end the threads."""
        self._preparers.shutdown()
        self._prepared.put(None)
        self._model.join()

    def _submit(self, image: bytes) -> Future[Answer]:
        answer: Future[Answer] = Future()
        answer.set_running_or_notify_cancel()  # so that a request that ends does not cancel it
        answer.add_done_callback(self._release)
        self._preparers.submit(self._prepare, image, answer)
        return answer

    def _release(self, _answer: Future[Answer]) -> None:
        with self._lock:
            self._waiting -= 1

    def _prepare(self, image: bytes, answer: Future[Answer]) -> None:
        try:
            pixels = self._predictor.prepare(image)
        except Exception as error:  # the thread must answer the next image
            answer.set_exception(error)
            return
        if isinstance(pixels, Rejection):
            answer.set_result(pixels)
        else:
            self._prepared.put((pixels, answer))

    def _run_model(self) -> None:
        while (first := self._prepared.get()) is not None:
            # Only this thread takes images, so those that are counted are still present.
            count = 1 + self._prepared.qsize()
            size = max(each for each in _BATCH_SIZES if each <= count)
            rest = [self._prepared.get() for _ in range(size - 1)]
            self._answer([first, *(item for item in rest if item is not None)])
            if None in rest:
                break

    def _answer(self, batch: Sequence[tuple[Pixels, Future[Answer]]]) -> None:
        started_at = time.perf_counter()
        try:
            rows = self._predictor.outputs([pixels for pixels, _ in batch])
        except Exception as error:  # the thread must answer the next batch
            for _, answer in batch:
                answer.set_exception(error)
            return
        self._on_batch(len(batch), time.perf_counter() - started_at)
        for (_, answer), row in zip(batch, rows, strict=True):
            answer.set_result(row)
