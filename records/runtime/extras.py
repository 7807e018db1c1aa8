"""Optional packages, and the commands that install them."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

_PROJECT = Path(__file__).resolve().parents[2]
_EXTRAS = {
    "apache_beam": "beam",
    "array_record": "arrayrecord",
    "botocore": "s3",
    "cleanlab": "label-errors",
    "cryptography": "sign",
    "h5py": "train",
    "imagehash": "dedup",
    "jax": "jax",
    "jinja2": "report",
    "keras": "train",
    "keras_hub": "keras-hub",
    "matplotlib": "plot",
    "mlflow": "mlflow",
    "openvino": "openvino",
    "opentelemetry": "otel",
    "pillow_heif": "heif",
    "prometheus_client": "metrics",
    "python_multipart": "serve",
    "starlette": "serve",
    "tensorboard": "tensorboard",
    "tensorflow": "train",
    "tf2onnx": "onnx",
    "uvicorn": "serve",
    "wandb": "wandb",
}
"""The extra that installs each package."""


def require_extra(module: str, extra: str) -> ModuleType:
    """Import and return a module that an extra of shardmill installs.

    Args:
        module: the module name, such as `matplotlib` or `matplotlib.figure`.
        extra: the name of the extra in pyproject.toml, such as `plot`.

    Raises UsageError, with the command that installs the extra, if the package of the module is
    missing.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise _not_installed(package, extra) from error


def check_extra(package: str, extra: str) -> None:
    """Raise UsageError as `require_extra` if a package is missing; the package is not imported."""
    if importlib.util.find_spec(package) is None:
        raise _not_installed(package, extra)


def _not_installed(package: str, extra: str) -> UsageError:
    return UsageError(f"{package} is not installed", hint=install_command(extra))


def explain_missing(error: ModuleNotFoundError) -> UsageError | None:
    """Return an error with the command that installs the package; None if no extra has it."""
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return None
    return _not_installed(package, _EXTRAS[package])


def install_command(extra: str, project: Path = _PROJECT) -> str:
    """Return the command that installs an extra, from a checkout or from the package index."""
    if not (project / "pyproject.toml").is_file():
        return f'pip install "shardmill[{extra}]"'
    place = "." if project == Path.cwd() else project
    return f'pip install "{place}[{extra}]"'
