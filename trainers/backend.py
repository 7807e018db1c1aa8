"""Start of the Keras backend, and the devices it uses."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import shutil
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from records.errors import UsageError
from records.runtime.cpu import available_cpus
from records.runtime.extras import check_extra, install_command, require_extra
from records.runtime.resource_limits import require_address_space

if TYPE_CHECKING:
    from collections.abc import Iterator

_BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX"}
_JAX_GPU = 'pip install "jax[cuda12]"'
_SETTINGS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
"""The settings of Keras that models depend on, which keras.json or the program may change."""

_ADDRESS_SPACE_BYTES = 4_000_000_000
_STDERR = 2
_BFLOAT16_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Backend:
    """The started backend and its devices.

    Args:
        backend: the name of the backend, TensorFlow or JAX.
        version: the version of the backend.
        gpus: the names of the GPUs in use.
        cpus: the number of processors that this process may use.
        problem: the reason why an existing GPU is not used, and the remedy.
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
        """Return the number that must divide the size of every batch."""
        return max(len(self.gpus), 1)

    def limit_batch(self, batch_size: int, images: int) -> int:
        """Return the size of a whole batch: that of all images, if they are fewer."""
        return min(batch_size, -(-images // self.batch_divisor) * self.batch_divisor)

    def __str__(self) -> str:
        plural = "s" * (self.cpus > 1)
        where = ", ".join(self.gpus) if self.gpus else f"the CPU, {self.cpus} core{plural}"
        return f"{self.backend} {self.version} on {where}"


def start_backend() -> Backend:
    """Load TensorFlow and Keras once per process, and select the devices.

    `keras.json` has no effect: the backend is that of `KERAS_BACKEND`, by default TensorFlow.

    Raises:
        UsageError: TensorFlow, or the backend that `KERAS_BACKEND` names, is not installed or not
            supported, or Keras has settings that models of shardmill do not support.
        ResourceError: the process may use too little memory.
    """
    is_loaded = "keras" in sys.modules
    started = _start_backend()
    keras: Any = importlib.import_module("keras")
    if not is_loaded:
        for name, value in _SETTINGS.items():
            getattr(keras.config, f"set_{name}")(value)
    _check_settings(keras)
    return started


@functools.cache
def _start_backend() -> Backend:
    require_address_space(_ADDRESS_SPACE_BYTES, "TensorFlow")
    # The user can set a different log level for the start of TensorFlow.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Otherwise Keras takes the backend from keras.json.
    backend = os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"
    with capture_native_logs():
        check_backend(backend)
        backend = _import_keras().backend.backend()
        check_backend(backend)
        tensorflow: Any = require_extra("tensorflow", "train")
        found = _use_jax(tensorflow) if backend == "jax" else _use_tensorflow(tensorflow)
    gpus = tuple(gpu.name for gpu in found)
    has_bfloat16 = bool(found) and all(gpu.capability >= _BFLOAT16_CAPABILITY for gpu in found)
    version = importlib.import_module(backend).__version__
    problem = None if gpus else explain_unused_gpu(backend, has_gpu=_has_nvidia_gpu())
    return Backend(_BACKENDS[backend], version, gpus, available_cpus(), problem, has_bfloat16)


def _import_keras() -> Any:
    """Import Keras, which reads keras.json, before TensorFlow imports it and hides the reason."""
    path = Path(os.environ.get("KERAS_HOME", "~/.keras"), "keras.json")
    path = Path(os.path.expanduser(path))  # noqa: PTH111 # Path.expanduser may raise
    hint = "remove this file; shardmill does not need it"
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for its writer
            raise UsageError("not a regular file", path=str(path), hint=hint)
    except OSError:
        pass  # Keras starts without the file
    try:
        return require_extra("keras", "train")
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise UsageError(
            "Keras cannot read its settings", path=str(path), got=str(error), hint=hint
        ) from error


def _check_settings(keras: Any) -> None:
    for name, expected in _SETTINGS.items():
        got = getattr(keras.config, name)()
        if got != expected:
            raise UsageError(
                f"Keras has a setting that shardmill does not support: {name}",
                expected=expected,
                got=got,
                hint=f"call keras.config.set_{name}({expected!r})",
            )


def check_batch_size(batch_size: int, backend: Backend, *, validation_images: int = 0) -> None:
    """Check that the GPUs can share batches of this size, and the validation images, if any.

    Raises:
        UsageError: they cannot.
    """
    if 0 < validation_images < backend.batch_divisor:
        raise UsageError(
            "there are fewer validation images than GPUs",
            expected=f"at least {backend.batch_divisor}",
            got=validation_images,
            hint="use a larger validation split, or one GPU: CUDA_VISIBLE_DEVICES=0",
        )
    if batch_size % backend.batch_divisor:
        raise UsageError(
            "the GPUs cannot share a batch of this size",
            expected=f"a --batch-size divisible by {backend.batch_divisor}",
            got=batch_size,
        )


@contextmanager
def data_parallel(backend: Backend) -> Iterator[None]:
    """Within the block, distribute every batch over all GPUs, by Keras (JAX) or TensorFlow."""
    if len(backend.gpus) < 2:
        yield
    elif backend.backend == _BACKENDS["jax"]:
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


def explain_unused_gpu(backend: str, *, has_gpu: bool) -> str | None:
    """Return why no GPU is used, and the remedy; None if the machine has no GPU."""
    if not has_gpu:
        return None
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in {"", "-1"}:
        return (
            f"a GPU exists, but CUDA_VISIBLE_DEVICES={hidden} hides it: "
            "unset the variable to use the GPU"
        )
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if backend == "jax" and platforms and "cuda" not in platforms and "gpu" not in platforms:
        return (
            f"a GPU exists, but JAX_PLATFORMS={platforms} excludes it: "
            "unset the variable to use the GPU"
        )
    install = _JAX_GPU if backend == "jax" else install_command("gpu")
    return (
        f"a GPU exists, but {_BACKENDS[backend]} cannot use it, probably because the NVIDIA "
        f"libraries are missing: {install}, or update the driver"
    )


def check_backend(backend: str) -> None:
    """Raise UsageError unless the Keras backend is supported and installed."""
    if backend not in _BACKENDS:
        raise UsageError(
            "unsupported Keras backend",
            expected=" or ".join(_BACKENDS),
            got=repr(backend),
            hint="set KERAS_BACKEND to tensorflow or jax",
        )
    check_extra(backend, "jax" if backend == "jax" else "train")


class _Gpu(NamedTuple):
    name: str
    capability: tuple[int, ...]


def _use_tensorflow(tensorflow: Any) -> list[_Gpu]:
    gpus = tensorflow.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Otherwise the first process takes all memory of the GPU.
        with suppress(RuntimeError):  # if the program has already used the GPU
            tensorflow.config.experimental.set_memory_growth(gpu, enable=True)
    details = map(tensorflow.config.experimental.get_device_details, gpus)
    return [
        _Gpu(detail.get("device_name", "GPU"), detail.get("compute_capability", (0, 0)))
        for detail in details
    ]


def _use_jax(tensorflow: Any) -> list[_Gpu]:
    # TensorFlow only reads images here; JAX needs the memory of the GPU.
    with suppress(RuntimeError):  # if the program has already used TensorFlow
        tensorflow.config.set_visible_devices([], "GPU")
    devices = importlib.import_module("jax").devices()
    return [
        _Gpu(device.device_kind, _parse_capability(getattr(device, "compute_capability", "")))
        for device in devices
        if device.platform != "cpu"
    ]


def _parse_capability(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in str(text).split(".") if part.isdigit())


def _has_nvidia_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None


@contextmanager
def capture_native_logs() -> Iterator[None]:
    """Hold back what libraries write to file descriptor 2; write it only if an import fails.

    TensorFlow writes some lines before its log level applies.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(_STDERR)
    except OSError:  # stderr is closed
        yield
        return
    with _open_temporary() as held:
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


def _open_temporary() -> BinaryIO:
    try:
        return cast("BinaryIO", tempfile.TemporaryFile())
    except OSError:  # no temporary folder can be written
        return open(os.devnull, "w+b")  # noqa: PTH123


@contextmanager
def several_models() -> Iterator[None]:
    """Hide a warning of TensorFlow in the block: that it traces each of several models."""

    def is_other(record: logging.LogRecord) -> bool:
        return "tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
