"""Starting Keras's backend: quietly, on the GPU where there is one, and saying so where not."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from records.errors import UsageError
from records.runtime.cpu import available_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator

_BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX"}
_INSTALL = {"tensorflow": "shardmill[gpu]", "jax": "jax[cuda12]"}
_STDERR = 2
_BFLOAT16_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Backend:
    """What computes.

    Args:
        backend: Keras's, as people write it.
        version: of the backend.
        gpus: the names of the GPUs in use.
        cpus: processors that this process may use.
        problem: why a GPU that is there is not used, and what to do.
        has_bfloat16: whether the GPUs compute in bfloat16 at full speed.
    """

    backend: str
    version: str
    gpus: tuple[str, ...]
    cpus: int
    problem: str | None = None
    has_bfloat16: bool = False

    @property
    def batch_divisor(self) -> int:
        """What the number of images of every batch must be a multiple of."""
        is_divided = self.backend == _BACKENDS["jax"] and len(self.gpus) > 1
        return len(self.gpus) if is_divided else 1

    def __str__(self) -> str:
        plural = "s" * (self.cpus > 1)
        where = ", ".join(self.gpus) if self.gpus else f"the CPU, {self.cpus} core{plural}"
        return f"{self.backend} {self.version} on {where}"


@functools.cache
def start_backend() -> Backend:
    """Load TensorFlow and Keras, once in a process, and choose what computes.

    Raises:
        UsageError: `KERAS_BACKEND` names one that is not there, or not one this works with.
    """
    # What TensorFlow logs at its start is not about the user's work; who wants it can still say so.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    _check_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    with _native_logs_held_back():
        tensorflow: Any = importlib.import_module("tensorflow")
        keras: Any = importlib.import_module("keras")
        backend = keras.backend.backend()
        _check_backend(backend)
        found = _use_jax(tensorflow) if backend == "jax" else _use_tensorflow(tensorflow)
    gpus = tuple(gpu.name for gpu in found)
    has_bfloat16 = bool(found) and all(gpu.capability >= _BFLOAT16_CAPABILITY for gpu in found)
    version = importlib.import_module(backend).__version__
    problem = None if gpus else explain_unused_gpu(backend, is_gpu_there=_is_nvidia_gpu_there())
    return Backend(_BACKENDS[backend], version, gpus, available_cpus(), problem, has_bfloat16)


def check_batch_size(batch_size: int, hardware: Backend) -> None:
    """Refuse a batch that the GPUs cannot share. Raises UsageError."""
    if batch_size % hardware.batch_divisor:
        raise UsageError(
            "the GPUs cannot share a batch of this size on JAX",
            expected=f"a --batch-size that {hardware.batch_divisor} divides",
            got=batch_size,
        )


@contextmanager
def data_parallel(hardware: Backend) -> Iterator[None]:
    """Spread every batch over the GPUs, where there are several, by Keras's own means."""
    if len(hardware.gpus) < 2:
        yield
    elif hardware.backend == _BACKENDS["jax"]:
        distribution: Any = importlib.import_module("keras").distribution
        distribution.set_distribution(distribution.DataParallel())
        try:
            yield
        finally:
            distribution.set_distribution(None)
    else:
        tensorflow: Any = importlib.import_module("tensorflow")
        with tensorflow.distribute.MirroredStrategy().scope():
            yield


def explain_unused_gpu(backend: str, *, is_gpu_there: bool) -> str | None:
    """Why none of the GPUs is used, and what to do about it; None where there is none."""
    if not is_gpu_there:
        return None
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in {"", "-1"}:
        return f"a GPU is here, but CUDA_VISIBLE_DEVICES={hidden} hides it: unset that to use it"
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if backend == "jax" and platforms and "cuda" not in platforms and "gpu" not in platforms:
        return f"a GPU is here, but JAX_PLATFORMS={platforms} leaves it out: unset that to use it"
    return (
        f"a GPU is here, but {_BACKENDS[backend]} cannot use it, most likely because NVIDIA's "
        f'libraries are missing: pip install "{_INSTALL[backend]}", or renew the driver if they '
        "are there"
    )


def _check_backend(backend: str) -> None:
    if backend not in _BACKENDS:
        raise UsageError(
            "this Keras backend is not supported",
            expected=" or ".join(_BACKENDS),
            got=repr(backend),
            hint="set KERAS_BACKEND to one of them",
        )
    if importlib.util.find_spec(backend) is None:
        raise UsageError(
            f"the Keras backend {backend} is not installed",
            hint=f'pip install "shardmill[{backend}]"' if backend == "jax" else None,
        )


class _Gpu(NamedTuple):
    name: str
    capability: tuple[int, ...]


def _use_tensorflow(tensorflow: Any) -> list[_Gpu]:
    gpus = tensorflow.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Otherwise the first process takes all of the GPU's memory, whatever it needs.
        tensorflow.config.experimental.set_memory_growth(gpu, enable=True)
    details = map(tensorflow.config.experimental.get_device_details, gpus)
    return [
        _Gpu(detail.get("device_name", "GPU"), detail.get("compute_capability", (0, 0)))
        for detail in details
    ]


def _use_jax(tensorflow: Any) -> list[_Gpu]:
    # TensorFlow only reads images here: the GPU's memory is JAX's.
    tensorflow.config.set_visible_devices([], "GPU")
    devices = importlib.import_module("jax").devices()
    return [
        _Gpu(device.device_kind, _parse_capability(getattr(device, "compute_capability", "")))
        for device in devices
        if device.platform != "cpu"
    ]


def _parse_capability(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in str(text).split(".") if part.isdigit())


def _is_nvidia_gpu_there() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None


@contextmanager
def _native_logs_held_back() -> Iterator[None]:
    """Hold back what libraries write to file descriptor 2; show it if the block fails.

    Some of TensorFlow's lines come before its log level applies.
    """
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        except ImportError:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
