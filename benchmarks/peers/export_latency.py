"""Calls of an exported model, one image each: `export_latency.py FORMAT EXPORT PIXELS THREADS`.

Only the runtime of the format is imported. PIXELS has the images and their labels as arrays.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_WARM_UP = 20
_MODEL_FILES = ("saved_model.pb", "variables/*", "model.*")

Classify = Callable[[np.ndarray], Any]
"""A function from the pixels of one image, uint8 (1, height, width, channels), to its label."""


def open_saved_model(export: Path, threads: int) -> Classify:
    """Return the signature of a SavedModel that takes pixels."""
    tf = _start_tensorflow(threads)
    model = tf.saved_model.load(str(export))
    signature = model.signatures["pixels"]
    lines = (export / "labels.txt").read_text(encoding="utf-8").splitlines()
    labels = {line.partition(":")[2]: number for number, line in enumerate(lines)}

    def classify(pixels: np.ndarray) -> int:
        assert model is not None  # a signature does not keep its model
        return labels[signature(image=tf.constant(pixels))["classes"].numpy()[0][0].decode()]

    return classify


def open_keras(export: Path, threads: int) -> Classify:
    """Return the compiled prediction of a Keras file."""
    _start_tensorflow(threads)
    import keras

    model = keras.models.load_model(export / "model.keras")
    return lambda pixels: model.predict_on_batch(pixels)[0].argmax()


def open_onnx(export: Path, threads: int) -> Classify:
    """Return a session of ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    file = export / "model.onnx"
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["scores"], {"image": pixels})[0][0].argmax()


def open_litert(export: Path, threads: int) -> Classify:
    """Return an interpreter of LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    file = str(export / "model.tflite")
    runner = Interpreter(file, num_threads=threads).get_signature_runner()
    return lambda pixels: runner(image=pixels)["scores"][0].argmax()


def open_openvino(export: Path, threads: int) -> Classify:
    """Return a model that OpenVINO compiled for the latency of float32."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = openvino.compile_model(export / "model.xml", "CPU", settings)
    return lambda pixels: model({"image": pixels})["scores"][0].argmax()


def _start_tensorflow(threads: int) -> Any:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


_OPEN: dict[str, Callable[[Path, int], Classify]] = {
    "saved_model": open_saved_model,
    "keras": open_keras,
    "onnx": open_onnx,
    "litert": open_litert,
    "openvino": open_openvino,
}


def main(name: str, export: Path, folder: Path, threads: int) -> None:
    """Classify all images one by one, and print the figures."""
    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    classify = _OPEN[name](export, threads)
    for pixels in images[:_WARM_UP]:
        classify(pixels[np.newaxis])
    seconds, right = [], 0
    for pixels, label in zip(images, labels, strict=True):
        started = time.perf_counter()
        found = classify(pixels[np.newaxis])
        seconds.append(time.perf_counter() - started)
        right += int(found == label)
    files = {file for pattern in _MODEL_FILES for file in export.glob(pattern)}
    figures = {
        "images": len(images),
        "seconds": sum(seconds),
        "accuracy": right / len(images),
        "model_bytes": sum(file.stat().st_size for file in files),
        "median_s": statistics.median(seconds),
        "p95_s": statistics.quantiles(seconds, n=20)[-1],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
