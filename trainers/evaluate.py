"""Measuring a trained model on a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from records.index import read_index
from records.layout import index_name
from records.progress import open_bar
from records.text import key_from_text
from trainers.damage import naming_damage
from trainers.decoder import decode_images
from trainers.input import ShardSource, read_in_order
from trainers.metrics import Tally, softmax
from trainers.mistakes import WorstMistakes, describe_mistakes, locate, read_mistakes
from trainers.parsing import with_key
from trainers.plots import plot_calibration, plot_confusion, plot_mistakes
from trainers.weights import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import keras
    from numpy.typing import NDArray

    from trainers.evaluation_plan import EvaluationPlan
    from trainers.metrics import Evaluation

_PICTURES = {
    "confusion": "confusion matrix",
    "calibration": "reliability diagram",
    "mistakes": "worst mistakes",
}


class KeyedSource(ShardSource):
    """The records of a dataset, each with its key beside its label."""

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Records (batch,) to images and (labels, keys)."""
        images, labels = super().decode(records)
        return images, (labels, self.parser.parse_keys(records))

    @property
    def _reads_by_python(self) -> bool:
        return super()._reads_by_python or self.parser.needs_keys

    def _read_payloads(self, shard: bytes) -> Iterator[bytes]:
        payloads = super()._read_payloads(shard)
        if not self.parser.needs_keys:
            return payloads
        index = read_index(self.storage, index_name(shard.decode()))
        keys = map(key_from_text, index.keys(0, len(index)))
        return map(with_key, payloads, keys)


def evaluate(plan: EvaluationPlan, *, mistakes: int = 0, say: Callable[[str], None]) -> Evaluation:
    """Measure a run's model on a split, in one pass and memory that does not grow with it.

    Args:
        plan: what to measure on what.
        mistakes: how many of the worst mistakes to name.
        say: told, a line each, what the user should know.

    Raises:
        DamagedError: the dataset or the weights are damaged.
        OutOfMemoryError: a batch does not fit.
    """
    model = load_model(plan.run)
    tally, worst = Tally(len(plan.run.labels)), WorstMistakes(mistakes)
    with naming_damage(plan.dataset, plan.selection, say=say):
        for logits, labels, keys in score_batches(plan, model):
            tally.add(logits, labels)
            worst.add(softmax(logits), labels, keys)
    ranked = worst.ranked()
    places = locate(plan.dataset, plan.selection, [wrong.key for wrong in ranked])
    named = describe_mistakes(ranked, places, plan.run.labels)
    return tally.summarize(plan.selection.role, plan.run.labels, named)


def score_batches(
    plan: EvaluationPlan, model: keras.Model
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.object_]]]:
    """Logits (batch, classes), labels (batch,) and keys (batch,) of every record."""
    config, selection = plan.run.config, plan.selection
    source = KeyedSource.of(plan.dataset, config.shape)
    batches = read_in_order(source, selection, config.options.batch_size)
    with open_bar("evaluating", unit="images", total=selection.records) as bar:
        for images, (labels, keys) in batches.as_numpy_iterator():
            yield np.asarray(model.predict_on_batch(images)), labels, keys
            bar.update(len(labels))


def draw_pictures(plan: EvaluationPlan, evaluation: Evaluation) -> Iterator[str]:
    """Draw `confusion-SPLIT.png`, `calibration-SPLIT.png` and `mistakes-SPLIT.png`.

    Yields:
        What was drawn, and where it is in the run folder.

    Raises:
        TargetError: the folder cannot be written.
        DamagedError: the record of a mistake is damaged.
    """
    yield _draw(plan, evaluation, "confusion", plot_confusion(evaluation, plan.run.labels))
    yield _draw(plan, evaluation, "calibration", plot_calibration(evaluation))
    if evaluation.mistakes:
        picture = plot_mistakes(evaluation, decode_mistakes(plan, evaluation))
        yield _draw(plan, evaluation, "mistakes", picture)


def _draw(plan: EvaluationPlan, evaluation: Evaluation, what: str, picture: bytes) -> str:
    name = f"{what}-{evaluation.split}.png"
    plan.run.write(name, picture)
    return f"{_PICTURES[what]}: {plan.run.describe(name)}"


def decode_mistakes(plan: EvaluationPlan, evaluation: Evaluation) -> NDArray[np.uint8]:
    """The images of the mistakes as the model sees them, uint8 (mistakes, *shape)."""
    records = read_mistakes(plan.dataset, plan.selection, evaluation.mistakes)
    encoded = tf.constant([record.image for record in records])
    options = plan.dataset.manifest.settings.images
    pixels: NDArray[np.uint8] = decode_images(encoded, options, plan.run.config.shape).numpy()
    return pixels
