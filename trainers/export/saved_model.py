"""Export to a SavedModel that takes image files, for TensorFlow Serving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf
from keras.export import ExportArchive

from records.errors import OutputError
from trainers.export.serving_input import prepare_images
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import task_of
from trainers.tasks.base import add_output_layer

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from trainers.runs.run_dir import Run


def write(model: keras.Model, run: Run, folder: Path) -> None:
    """Write a SavedModel with two signatures.

    `serving_default` takes image files; `pixels` takes decoded images, uint8 (batch, *shape). Both
    return all classes, the best first: `classes`, strings (batch, classes), and `scores`, float32
    (batch, classes). If the task has thresholds, both also return `thresholds`, float32 (batch,
    classes), in the same order: a class is predicted if its score reaches its threshold. If the run
    predicts a number, both only return `value`, float32 (batch,).
    """
    config = run.config
    names = tf.constant([name.encode() for name in run.labels])
    thresholds = tf.constant(read_thresholds(run), tf.float32)
    scored = add_output_layer(task_of(config), model)

    def predict_pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = scored(image, training=False)
        if run.target is not None:
            return {"value": scores[:, 0]}
        order = tf.argsort(scores, direction="DESCENDING", stable=True)
        outputs = {
            "classes": tf.gather(names, order),
            "scores": tf.gather(scores, order, batch_dims=1),
        }
        if run.has_thresholds:
            outputs["thresholds"] = tf.gather(thresholds, order)
        return outputs

    def predict_files(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return predict_pixels(prepare_images(image, config.images, config.shape, config.decoder))

    archive = ExportArchive()
    archive.track(scored)
    files = tf.TensorSpec((None,), tf.string, name="image")
    pixels = tf.TensorSpec((None, *config.shape.array_shape), tf.uint8, name="image")
    archive.add_endpoint("serving_default", predict_files, input_signature=[files])
    archive.add_endpoint("pixels", predict_pixels, input_signature=[pixels])
    try:
        archive.write_out(folder, verbose=False)
    except tf.errors.OpError as error:
        raise OutputError(
            "the model cannot be written",
            path=str(folder),
            got=error.message.partition("\n")[0].rpartition("; ")[2].partition(" [Op:")[0],
        ) from error
