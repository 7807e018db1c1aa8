"""Error of a step that needs more memory than the device has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from records.errors import ShardmillError

if TYPE_CHECKING:
    from collections.abc import Iterator

# TensorFlow has a class for it; XLA, JAX and CUDA raise other errors with one of these texts.
_CLASS = "ResourceExhaustedError"
_TEXTS = (
    "RESOURCE_EXHAUSTED",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "Dst tensor is not initialized",  # a copy to a full GPU
)


class OutOfMemoryError(ShardmillError):
    """The device has less memory than a step needs."""

    exit_code = 74


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a framework has raised an error because memory was exhausted."""
    if isinstance(error, MemoryError) or type(error).__name__ == _CLASS:
        return True
    return any(text in str(error) for text in _TEXTS)


def out_of_memory(batch_size: int | None = None) -> OutOfMemoryError:
    """Return the error for the user.

    Args:
        batch_size: the number of images per step, if the user can choose it.
    """
    if batch_size is None:
        remedy = "use a machine with more memory, or a run with a smaller --batch-size"
    elif batch_size == 1:
        remedy = "try a smaller --image-size or --model"
    else:
        remedy = f"try --batch-size {batch_size // 2}"
    estimate = "; `train --summary` estimates the memory of a step" if batch_size else ""
    return OutOfMemoryError("not enough memory for a step", hint=remedy + estimate)


@contextmanager
def translate_out_of_memory(batch_size: int | None = None) -> Iterator[None]:
    """Raise OutOfMemoryError instead of the error of a framework; see `out_of_memory`."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise out_of_memory(batch_size) from error
        raise
