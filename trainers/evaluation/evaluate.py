"""Measuring a trained model on a split.

An evaluation decided before Keras is loaded, so that what cannot work is said at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from records.dataset import open_dataset
from records.errors import InputNotFoundError, UsageError
from records.format.index import read_index
from records.format.layout import index_name
from records.runtime.progress import progress_bar
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text
from trainers.evaluation.metrics import MetricsAccumulator, softmax
from trainers.evaluation.mistakes import WorstMistakes, describe_mistakes, locate, read_mistakes
from trainers.input.bad_records import locate_bad_records
from trainers.input.decode import decode_images
from trainers.input.parse import append_key
from trainers.input.pipeline import ShardSource, ordered_batches
from trainers.input.selection import check_shards, select_for_evaluation
from trainers.models.load import load_model
from trainers.plots.charts import plot_calibration, plot_confusion, plot_mistakes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    import keras
    from numpy.typing import NDArray

    from records.dataset import Dataset
    from trainers.evaluation.metrics import Evaluation
    from trainers.input.selection import Selection
    from trainers.runs.run_dir import Run


_PICTURES = {
    "confusion": "confusion matrix",
    "calibration": "reliability diagram",
    "mistakes": "worst mistakes",
}


class ShardSourceWithKeys(ShardSource):
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
        return map(append_key, payloads, keys)


def evaluate(plan: EvaluationPlan, *, mistakes: int = 0, say: Callable[[str], None]) -> Evaluation:
    """Measure a run's model on a split, in one pass and memory that does not grow with it.

    Args:
        plan: what to measure on what.
        mistakes: how many of the worst mistakes to name.
        say: told, a line each, what the user should know.

    Raises:
        CorruptDataError: the dataset or the weights are damaged.
        OutOfMemoryError: a batch does not fit.
    """
    model = load_model(plan.run)
    tally, worst = MetricsAccumulator(len(plan.run.labels)), WorstMistakes(mistakes)
    with locate_bad_records(plan.dataset, plan.selection, say=say):
        for logits, labels, keys in score_batches(plan, model):
            tally.add(logits, labels)
            worst.add(softmax(logits), labels, keys)
    ranked = worst.ranked()
    places = locate(plan.dataset, plan.selection, [wrong.key for wrong in ranked])
    named = describe_mistakes(ranked, places, plan.run.labels)
    return tally.summarize(plan.selection.purpose, plan.run.labels, named)


def score_batches(
    plan: EvaluationPlan, model: keras.Model
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.object_]]]:
    """Logits (batch, classes), labels (batch,) and keys (batch,) of every record."""
    config, selection = plan.run.config, plan.selection
    source = ShardSourceWithKeys.from_dataset(plan.dataset, config.shape)
    batches = ordered_batches(source, selection, config.options.batch_size)
    with progress_bar("evaluating", unit="images", total=selection.records) as bar:
        for images, (labels, keys) in batches.as_numpy_iterator():
            yield np.asarray(model.predict_on_batch(images)), labels, keys
            bar.update(len(labels))


def draw_pictures(plan: EvaluationPlan, evaluation: Evaluation) -> Iterator[str]:
    """Draw `confusion-SPLIT.png`, `calibration-SPLIT.png` and `mistakes-SPLIT.png`.

    Yields:
        What was drawn, and where it is in the run folder.

    Raises:
        OutputError: the folder cannot be written.
        CorruptDataError: the record of a mistake is damaged.
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


@dataclass(frozen=True)
class EvaluationPlan:
    """What is measured on what.

    Args:
        run: with weights.
        dataset: of the run's classes.
        selection: the records to measure on.
    """

    run: Run
    dataset: Dataset
    selection: Selection


def plan_evaluation(
    run: Run, target: str | os.PathLike[str] | None = None, split: str | None = None
) -> EvaluationPlan:
    """Decide on what to measure a run's model.

    Args:
        run: with weights.
        target: the dataset; None is the one the run was trained on, where it was then.
        split: None is `test`, else what training validates on.

    Raises:
        InputNotFoundError: there is no such dataset.
        UsageError: the dataset has other classes, or not that split.
        CorruptDataError: the dataset is damaged as far as names and sizes of its files tell.
    """
    dataset = _open_trained_dataset(run, target)
    _check_classes(run, dataset)
    selection = select_for_evaluation(dataset, split)
    check_shards(dataset, selection)
    return EvaluationPlan(run, dataset, selection)


def _open_trained_dataset(run: Run, target: str | os.PathLike[str] | None) -> Dataset:
    try:
        return open_dataset(run.config.dataset if target is None else target)
    except InputNotFoundError as error:
        if target is None:
            error.hint = "say where the dataset is now: shardmill evaluate RUN TARGET"
        raise


def _check_classes(run: Run, dataset: Dataset) -> None:
    theirs, ours = dataset.labels, run.labels
    if len(theirs) != len(ours):
        raise UsageError(
            "the dataset has not as many classes as the run",
            path=dataset.storage.url,
            expected=_name_some(ours),
            got=_name_some(theirs),
        )
    for label, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        if their != our:
            raise UsageError(
                f"the dataset's label map is not the run's: label {label} is another class",
                path=dataset.storage.url,
                expected=escape_for_display(our),
                got=escape_for_display(their),
            )


def _name_some(labels: tuple[str, ...]) -> str:
    return f"{len(labels)}: {', '.join(labels[:5])}{' …' * (len(labels) > 5)}"
