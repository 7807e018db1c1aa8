"""Export of a model, with its description, to a new folder.

A local folder appears completely or not at all. At a URL, the file of the model appears last.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from records.arguments import check_arguments
from records.errors import OutputError, UsageError
from records.format.label_map import format_labels
from records.format.layout import CARD, LABELS
from records.storage import local_path, open_remote, redact_url
from records.storage.atomic import atomic_folder, occupants
from records.storage.errors import HINT_FIX, translate_write_errors
from records.storage.exclusive import require_outside
from records.storage.remote_folder import is_vacant, upload_folder
from trainers.backend import start_backend
from trainers.export.formats import (
    FORMATS,
    ExportFormat,
    ExportPrecision,
    require_converter,
    require_precision,
)
from trainers.export.preprocessing import (
    PREPROCESSING,
    describe_preprocessing,
    encode_preprocessing,
)
from trainers.options import KeptWeights
from trainers.runs.run_dir import THRESHOLDS, Run, open_run
from trainers.runs.thresholds import encode_thresholds, find_thresholds

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

    from trainers.export.agreement import Agreement
    from trainers.export.quantization import QuantizationPlan


@check_arguments
def export(
    run: str | os.PathLike[str] | Run,
    output: str | os.PathLike[str],
    format: str = "keras",  # noqa: A002 # the name of the command's option
    *,
    precision: ExportPrecision = "float32",
    calibrate: str | os.PathLike[str] | None = None,
    weights: KeptWeights | None = None,
) -> Path | str:
    """Write the model of a run, for use without shardmill.

    The output of the model has the probability of each class or, if the run predicts a number, the
    value in the unit of the target. The folder also has a model card with an example program,
    `README.md`, and a description of the input, `preprocessing.json`.

    Args:
        run: the path or URL of a run, or a `Run`.
        output: the path or URL of the folder to create.
        format: the name of an export format: `keras`, `saved_model`, `onnx`, `litert` or
            `openvino`. The default signature of a SavedModel takes image files; models in the other
            formats take pixels.
        precision: the precision of a `litert` model: `float32`, `float16` (the weights) or `int8`
            (the weights and the activations).
        calibrate: the path or URL of the dataset whose images determine the ranges of the values of
            an `int8` model; None means the dataset of the run. `agreement.json` then has the
            differences from the run, measured on the split `test` of the dataset.
        weights: the weights of the run: those of the `best` or of the `last` epoch; None means the
            best or, for a `Run`, those that it was opened with.

    Returns:
        The path of the folder; the URL, if the output is a URL.

    Raises:
        InputNotFoundError: the run or the dataset does not exist.
        OutputError: the folder contains files, or cannot be written.
        LockedError: another process writes to the URL.
        StorageError: storage failed after retries.
        UsageError: the output is inside the run; the format is unknown, or does not have the
            precision; its converter is not installed, or cannot convert the model; the dataset has
            other classes than the run; or Keras uses a backend other than TensorFlow.
        CorruptDataError: the configuration, the weights or the dataset are damaged.
    """
    location = os.fspath(output)
    write_export(plan_export(run, location, format, precision, calibrate, weights=weights))
    path = local_path(location)
    return location if path is None else Path(path)


@dataclass(frozen=True)
class ExportPlan:
    """A checked export.

    Args:
        run: the run.
        location: the path or URL of the folder to create.
        name: the name of the format.
        precision: the precision of the exported model.
        quantization: the images for `int8`; otherwise None.
    """

    run: Run
    location: str
    name: str
    precision: ExportPrecision = "float32"
    quantization: QuantizationPlan | None = None

    @property
    def form(self) -> ExportFormat:
        """The format."""
        return FORMATS[self.name]


def plan_export(
    run: str | os.PathLike[str] | Run,
    location: str,
    name: str,
    precision: ExportPrecision = "float32",
    calibrate: str | os.PathLike[str] | None = None,
    *,
    weights: KeptWeights | None = None,
) -> ExportPlan:
    """Check the arguments of an export, before Keras loads; see `export`."""
    require_converter(name)
    require_empty_folder(location, last=FORMATS[name].model)
    require_outside(location, run.location if isinstance(run, Run) else os.fspath(run), what="run")
    opened = open_run(run, weights)
    require_precision(name, precision, has_images=calibrate is not None)
    if precision != "int8":
        return ExportPlan(opened, location, name, precision)

    from trainers.export.quantization import plan_quantization

    return ExportPlan(opened, location, name, precision, plan_quantization(opened, calibrate))


def write_export(plan: ExportPlan) -> Agreement | None:
    """Write a planned export.

    Returns:
        The differences between the exported model and the run; None if they are not measured.

    Raises:
        The exceptions of `export`.
    """
    start_backend()

    import keras

    from trainers.models.load import load_model

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "models can be exported only with the TensorFlow backend of Keras",
            got=f"Keras on {keras.backend.backend()}",
            hint="set KERAS_BACKEND=tensorflow; the weights work with every backend",
        )
    model = load_model(plan.run)
    with new_folder(plan.location, last=plan.form.model) as folder:
        agreement = _write_model(plan, model, folder)
        for file, content in _describe(plan, agreement):
            (folder / file).write_bytes(content)
    return agreement


def _write_model(plan: ExportPlan, model: keras.Model, folder: Path) -> Agreement | None:
    module, quantization = importlib.import_module(plan.form.module), plan.quantization
    if len(plan.form.precisions) == 1:
        module.write(model, plan.run, folder)
        return None
    images = None if quantization is None else quantization.representative_images
    module.write(model, plan.run, folder, precision=plan.precision, representative_images=images)
    if quantization is None:
        return None

    from trainers.export.agreement import measure_agreement

    return measure_agreement(quantization, model, module.open_scorer(folder, plan.run))


def _describe(plan: ExportPlan, agreement: Agreement | None) -> Iterator[tuple[str, bytes]]:
    """Yield the names and the contents of the files that describe the exported model."""
    from trainers.export.agreement import AGREEMENT, encode_agreement
    from trainers.export.model_card import make_model_card

    yield LABELS, format_labels(plan.run.labels)
    if plan.run.has_thresholds:
        yield THRESHOLDS, encode_thresholds(find_thresholds(plan.run))
    if agreement is not None:
        yield AGREEMENT, encode_agreement(agreement)
    preprocessing = describe_preprocessing(plan.run.config, plan.form.batch)
    yield PREPROCESSING, encode_preprocessing(preprocessing)
    yield CARD, make_model_card(plan.run, plan.name, plan.precision, agreement)


def require_empty_folder(location: str, *, last: str) -> None:
    """Check that an output is absent, or empty but for files of the system or of a killed export.

    Args:
        location: the path or URL of the output.
        last: the file that an export writes last.

    Raises:
        OutputError: the location is a file, or a folder with files.
        UsageError: the URL cannot be opened.
        StorageError: storage failed after retries.
    """
    path = local_path(location)
    if path is None:
        is_empty = is_vacant(open_remote(location), last=last)
    else:
        with translate_write_errors(path, hint=HINT_FIX):
            folder = Path(path)
            is_empty = not folder.exists() or (folder.is_dir() and not occupants(folder))
    if not is_empty:
        raise OutputError(
            "the output exists and is not overwritten",
            path=redact_url(location),
            hint="choose a different folder",
        )


@contextmanager
def new_folder(location: str, *, last: str) -> Iterator[Path]:
    """Yield a temporary folder, whose files become the output when the block succeeds.

    Args:
        location: the path of the output, to which the folder is renamed; or its URL.
        last: the file that is uploaded last.

    Raises:
        OutputError: the output cannot be written, or other files were written to it meanwhile.
        LockedError: another process writes to the URL.
        StorageError: storage failed.
    """
    path = local_path(location)
    with translate_write_errors(redact_url(location), what="the model", hint=HINT_FIX):
        if path is not None:
            with atomic_folder(Path(path)) as folder:
                yield folder
            return
        storage = open_remote(location)
        with storage.lock(), upload_folder(storage, last=last) as folder:
            yield folder
