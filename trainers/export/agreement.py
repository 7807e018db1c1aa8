"""Agreement of an exported model with its run, `agreement.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from records.strict_json import encode_canonical
from records.text.formatting import pluralize
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import task_of
from trainers.tasks.intervals import format_accuracy

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras
    from numpy.typing import NDArray

    from trainers.export.quantization import QuantizationPlan

AGREEMENT = "agreement.json"
_FORMAT_VERSION = 1


class Agreement(msgspec.Struct, frozen=True):
    """The differences between the outputs of an exported model and of its run on the same images.

    Attributes:
        format_version: the version of the file format.
        split: the split of the images.
        images: the number of images.
        largest_difference: the largest difference of an output.
        mean_difference: the mean difference of an output.
        same_classes: the number of images for which both predict the same classes; None if the run
            predicts a number.
        run_accuracy: the accuracy of the run on the images; None if an image has not exactly one
            label.
        exported_accuracy: the accuracy of the exported model on the images, or None.
    """

    format_version: int
    split: str
    images: int
    largest_difference: float
    mean_difference: float
    same_classes: int | None
    run_accuracy: float | None
    exported_accuracy: float | None

    def lines(self) -> list[str]:
        """Return the agreement as sentences."""
        images = f"{pluralize(self.images, 'image')} of {self.split}"
        found = [
            (
                f"on {images}, the outputs of the exported model and of the run differ by at most "
                f"{self.largest_difference:.3g}, on average by {self.mean_difference:.2g}"
            )
        ]
        if self.same_classes is not None:
            found.append(f"both predict the same classes for {self.same_classes:,} of {images}")
        if self.run_accuracy is not None and self.exported_accuracy is not None:
            before = format_accuracy(self.run_accuracy, self.images)
            after = format_accuracy(self.exported_accuracy, self.images)
            found.append(f"accuracy of the run {before}, of the exported model {after}")
        return found


def measure_agreement(
    plan: QuantizationPlan,
    model: keras.Model,
    score: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
) -> Agreement:
    """Compare the outputs of an exported model with those of its run.

    Args:
        plan: the run and the images.
        model: the model of the run, which returns logits.
        score: a function from pixels, uint8 (batch, *shape), to the outputs of the exported model.
    """
    task, thresholds = task_of(plan.run.config), read_thresholds(plan.run)
    images = same = right_before = right_after = 0
    largest, total = 0.0, 0.0
    for pixels, labels in plan.checked_batches():
        expected = task.outputs(np.asarray(model.predict_on_batch(pixels)))
        found = score(pixels).astype(np.float64)
        differences = np.abs(found - expected)
        images += len(pixels)
        largest = max(largest, float(differences.max()))
        total += float(differences.mean(axis=1).sum())
        for before, after in zip(expected, found, strict=True):
            chosen = set(task.choose(before, thresholds)), set(task.choose(after, thresholds))
            same += chosen[0] == chosen[1]
        if task.is_exclusive:
            right_before += int((expected.argmax(axis=1) == labels).sum())
            right_after += int((found.argmax(axis=1) == labels).sum())
    return Agreement(
        _FORMAT_VERSION,
        plan.checked.purpose,
        images,
        largest,
        total / images,
        same if task.has_classes else None,
        right_before / images if task.is_exclusive else None,
        right_after / images if task.is_exclusive else None,
    )


def encode_agreement(agreement: Agreement) -> bytes:
    """Return the content of `agreement.json`."""
    return encode_canonical(agreement)
