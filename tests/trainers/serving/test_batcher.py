"""Batches of concurrent images."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from records.images import Rejection
from trainers.serving.batcher import Batcher
from trainers.serving.errors import RequestError


class Model:
    """A model whose outputs are the pixels; it computes when the test permits it."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.prepared: list[bytes] = []
        self.permitted = threading.Event()
        self.run = SimpleNamespace(config=SimpleNamespace(shape=SimpleNamespace(array_shape=(1,))))

    def prepare(self, image: bytes) -> Any:
        if image == b"bad":
            return Rejection("corrupt", "bad")
        if image == b"raises":
            raise ZeroDivisionError
        self.prepared.append(image)
        return np.array([int(image)])

    def outputs(self, images: list[Any]) -> Any:
        self.permitted.wait(60)
        self.batches.append(len(images))
        if any(image[0] == 666 for image in images):
            raise ZeroDivisionError
        return np.stack(images).astype(float)


def make_batcher(model: Model, max_queue: int = 100) -> Batcher:
    return Batcher(model, max_queue=max_queue, on_batch=lambda *_: None)  # type: ignore[arg-type]


def numbered(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def test_batcher_waiting_images_are_computed_in_few_batches_in_order() -> None:
    model = Model()
    batcher = make_batcher(model)
    (first,) = batcher.submit([b"7"])
    answers = batcher.submit(numbered(60))
    while len(model.prepared) < 61:
        time.sleep(0.001)
    model.permitted.set()
    assert [int(answer.result(60)[0]) for answer in [first, *answers]] == [7, *range(60)]  # type: ignore[index]
    batcher.close()
    assert sum(model.batches) == 61
    assert max(model.batches) == 32
    assert len(model.batches) < 12
    assert batcher.waiting == 0


def test_batcher_failures_and_rejections_are_answers_of_their_images() -> None:
    model = Model()
    model.permitted.set()
    batcher = make_batcher(model)
    bad, raises, good = batcher.submit([b"bad", b"raises", b"5"])
    assert bad.result(60) == Rejection("corrupt", "bad")
    assert isinstance(raises.exception(60), ZeroDivisionError)
    assert good.result(60) == np.array([5.0])
    (fails,) = batcher.submit([b"666"])
    assert isinstance(fails.exception(60), ZeroDivisionError)
    assert batcher.submit([b"8"])[0].result(60) == np.array([8.0])
    batcher.close()


def test_batcher_close_answers_all_images_that_wait() -> None:
    model = Model()
    batcher = make_batcher(model)
    answers = batcher.submit(numbered(50))
    threading.Timer(0.1, model.permitted.set).start()
    batcher.close()
    assert all(answer.done() for answer in answers)


@pytest.mark.parametrize(("count", "status"), [(3, 503), (6, 400)])
def test_batcher_more_images_than_may_wait_are_refused(count: int, status: int) -> None:
    model = Model()
    batcher = make_batcher(model, max_queue=5)
    answers = batcher.submit(numbered(3))
    with pytest.raises(RequestError) as refused:
        batcher.submit(numbered(count))
    assert refused.value.status == status
    assert batcher.waiting == 3
    assert not batcher.is_full
    model.permitted.set()
    assert [int(answer.result(60)[0]) for answer in answers] == [0, 1, 2]  # type: ignore[index]
    batcher.close()
