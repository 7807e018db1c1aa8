"""Accuracy, size and latency of a model in each export format."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.harness.environments import make_environment, program, requirements
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.exported_models import exported, flowers, test_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.settings import Setting

THREADS = {"1 thread": 1, "2 threads": 2}
"""The number of threads of a runtime, by the names of the cases."""
ACCURACY = "accuracy"
MODEL_BYTES = "model_bytes"
MEDIAN, SLOW = "median_s", "p95_s"
"""The median time of a call, and the time that 95 % of the calls do not exceed."""


class Form(NamedTuple):
    """A form of the exported model.

    Attributes:
        name: the name in tables.
        format: the export format.
        packages: the packages that run the model.
        environment: the environment of a runtime that is not installed with shardmill.
        options: the options of `export`.
    """

    name: str
    format: str
    packages: tuple[str, ...]
    environment: str | None = None
    options: tuple[str, ...] = ()


_LITERT = ("litert", ("ai-edge-litert",), "litert")
FORMS = (
    Form("SavedModel", "saved_model", ("tensorflow",)),
    Form("Keras", "keras", ("keras", "tensorflow")),
    Form("ONNX", "onnx", ("onnxruntime",)),
    Form("OpenVINO", "openvino", ("openvino",)),
    Form("LiteRT, float32", *_LITERT),
    Form("LiteRT, float16", *_LITERT, ("--float16",)),
    Form("LiteRT, int8", *_LITERT, ("--int8",)),
)


def enter(setting: Setting) -> Entry:
    """Return all forms, with one thread and with two, on the test images of flowers."""
    pixels = test_pixels(setting)
    images = len(np.load(pixels / "labels.npy"))
    size_bytes = (pixels / "images.npy").stat().st_size
    cases = [Case(name, pixels, images, size_bytes) for name in THREADS]
    return Entry([_contestant(setting, form) for form in FORMS], cases, trial_images=0)


def _contestant(setting: Setting, form: Form) -> Contestant:
    calibration = ("--calibrate", str(flowers(setting))) if "--int8" in form.options else ()
    export = exported(setting, form.format, *form.options, *calibration)
    if form.environment is None:
        python = sys.executable
        versions = {package: version(package) for package in form.packages}
    else:
        python = str(make_environment(form.environment, setting.cache))
        versions = requirements(form.environment)

    def command(case: Case, _out: Path) -> list[str]:
        threads = str(THREADS[case.name])
        run = [python, program("export_latency"), form.format, str(export), str(case.source)]
        return [*run, threads]

    made_by = ", ".join(f"{package} {versions[package]}" for package in form.packages)
    return Contestant(form.name, command, made_by)
