"""TensorFlow function of a model, which other converters read."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf
from keras.export import ExportArchive

from trainers.export.preprocessing import output_name
from trainers.tasks import task_of
from trainers.tasks.base import add_output_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import keras

    from trainers.config import RunConfig
    from trainers.runs.run_dir import Run


def pixel_function(
    scored: keras.Model, config: RunConfig
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return a function of pixels, uint8 (batch, *shape), that returns the outputs by name."""
    name = output_name(config)
    return lambda image: {name: scored(image, training=False)}


def pixel_spec(config: RunConfig, batch: int | None) -> tf.TensorSpec:
    """Return the specification of the input of `pixel_function`."""
    return tf.TensorSpec((batch, *config.shape.array_shape), tf.uint8, name="image")


@contextmanager
def saved_pixel_model(model: keras.Model, run: Run, batch: int | None) -> Iterator[Path]:
    """Yield a temporary SavedModel whose only signature takes pixels.

    Args:
        model: the model of the run, which returns logits.
        run: the run.
        batch: the number of images per call; None means any number.
    """
    scored = add_output_layer(task_of(run.config), model)
    archive = ExportArchive()
    archive.track(scored)
    specs = [pixel_spec(run.config, batch)]
    archive.add_endpoint(
        "serving_default", pixel_function(scored, run.config), input_signature=specs
    )
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        yield Path(folder)
