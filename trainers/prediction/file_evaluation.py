"""Evaluation of a run on image files in class folders.

result = evaluate_files("run", "photos")
print(result.accuracy, result.confusions)
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from records.arguments import check_arguments
from records.errors import UsageError
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.evaluation.metrics import ClassMetrics, class_table, summarize_classes
from trainers.prediction.image_files import find_images
from trainers.prediction.predictor import Predictor
from trainers.prediction.true_classes import find_true_classes
from trainers.tasks.intervals import Interval, format_accuracy, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trainers.prediction.image_files import ImageFile
    from trainers.prediction.result import FilePath, FilePrediction
    from trainers.runs.run_dir import Run

_SHOWN_CLASSES = 40
_SHOWN_CONFUSIONS = 10
_SHOWN_FOLDERS = 10


class Confusion(msgspec.Struct, frozen=True):
    """The images of one class that were predicted as another class.

    Attributes:
        class_name: the true class.
        predicted: the predicted class.
        images: the number of images.
    """

    class_name: str = msgspec.field(name="class")
    predicted: str
    images: int


class FileEvaluation(msgspec.Struct, frozen=True):
    """The result of an evaluation on files, and the summary of `predict --truth`.

    Attributes:
        images: the number of images that were measured: their folder is a class of the model, and
            they have a prediction.
        accuracy: the fraction of images whose true class has the highest score; None if no image
            was measured.
        accuracy_interval: the bounds of the 95 % confidence interval of `accuracy`.
        per_class: the metrics of each class that has images or predictions, in the order of the
            label map.
        confusions: the pairs of a true class and another, predicted class, the most frequent first.
        unknown_folders: the number of files in each folder that is not a class of the model, by
            its name.
        without_prediction: the number of files of known classes that have no prediction.
        none_of_these: the number of measured images whose best score is below the threshold of
            rejection; None without a threshold.
        unknown_images: the number of images with a prediction in folders that are not a class of
            the model.
        unknown_none_of_these: the number of these images whose best score is below the threshold;
            None without a threshold.
    """

    images: int
    accuracy: float | None
    accuracy_interval: Interval | None
    per_class: tuple[ClassMetrics, ...]
    confusions: tuple[Confusion, ...]
    unknown_folders: dict[str, int]
    without_prediction: int
    none_of_these: int | None = None
    unknown_images: int = 0
    unknown_none_of_these: int | None = None

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return f"FileEvaluation: {pluralize(self.images, 'image')}\n{self}"

    def _lines(self) -> Iterator[str]:
        shown = self.per_class
        if len(shown) > _SHOWN_CLASSES:
            worst = sorted(shown, key=lambda each: (each.f1 or 0, -each.images))
            shown = tuple(worst[:_SHOWN_CLASSES])
            yield (
                f"{pluralize(len(self.per_class), 'class')} with images or predictions; these "
                f"{_SHOWN_CLASSES} have the lowest F1, --json lists all"
            )
        yield from class_table(shown)
        if self.accuracy is not None:
            images = pluralize(self.images, "image")
            best = "" if self.none_of_these is None else ", by the best class, rejected or not"
            yield f"accuracy {format_accuracy(self.accuracy, self.images)} on {images}{best}"
        yield from self._none_of_these()
        yield from self._confusions()
        if self.unknown_folders:
            yield f"not in the accuracy, because the folder is not a class: {self._unknown()}"
        if self.without_prediction:
            yield f"not measured: {pluralize(self.without_prediction, 'file')} without a prediction"

    def _none_of_these(self) -> Iterator[str]:
        if self.none_of_these is not None:
            yield (
                f"none of these: {self.none_of_these:,} of {pluralize(self.images, 'image')} of "
                f"the classes, {self.unknown_none_of_these:,} of {self.unknown_images:,} others"
            )

    def _confusions(self) -> Iterator[str]:
        for each in self.confusions[:_SHOWN_CONFUSIONS]:
            true, predicted = map(escape_for_display, (each.class_name, each.predicted))
            yield f"{pluralize(each.images, 'image')} of “{true}” predicted as “{predicted}”"
        if len(self.confusions) > _SHOWN_CONFUSIONS:
            more = len(self.confusions) - _SHOWN_CONFUSIONS
            yield f"… {pluralize(more, 'more pair')}; --json lists all"

    def _unknown(self) -> str:
        names = sorted(self.unknown_folders, key=lambda name: (-self.unknown_folders[name], name))
        shown = (
            f"{escape_for_display(name)} ({pluralize(self.unknown_folders[name], 'file')})"
            for name in names[:_SHOWN_FOLDERS]
        )
        more = f", and {len(names) - _SHOWN_FOLDERS:,} more" if len(names) > _SHOWN_FOLDERS else ""
        return ", ".join(shown) + more


@check_arguments
def evaluate_files(
    run: FilePath | Run | Predictor,
    files: FilePath | Iterable[FilePath],
    *,
    on_prediction: Callable[[FilePrediction], object] = lambda _prediction: None,
) -> FileEvaluation:
    """Predict image files whose folders are named after their classes, and measure the predictions.

    To evaluate a run on a dataset, use `evaluate`.

    Args:
        run: the path or URL of a run, a `Run`, or a `Predictor`.
        files: the path or URL of a folder or a file, or several of them. A folder contains one
            folder per class, or split folders that contain class folders, or it is a class folder.
        on_prediction: called with the prediction for each file; its attribute `truth` is the true
            class.

    Raises:
        InputNotFoundError: the run or a file does not exist, or a folder has no images.
        CorruptDataError: the run is damaged, or a location is neither a file nor a folder.
        UsageError: no folder is a class of the model, or the run predicts any number of labels per
            image, or a number.
    """
    single = isinstance(files, str | os.PathLike)
    paths: Any = [files] if single else files
    predictor = run if isinstance(run, Predictor) else Predictor(run)
    found = find_images(paths)
    scoring = FileScoring(predictor.run, found)
    with closing(predictor.predict_files(found)) as predictions:
        for prediction in scoring.attach(predictions):
            on_prediction(prediction)
    return scoring.summarize()


class FileScoring:
    """Comparison of predictions for files with their true classes.

    Args:
        run: a run that predicts one class per image.
        files: the files, in the order of the predictions.

    Raises:
        UsageError: the run predicts any number of labels per image, or a number, or no folder is a
            class of the model.
    """

    def __init__(self, run: Run, files: Sequence[ImageFile]) -> None:
        if run.config.task != "classification":
            raise UsageError(
                "the names of folders are the truth only if each image has one class",
                path=run.location,
                expected="a run of the task classification",
                got=run.config.task,
                hint="omit --truth, or convert the images and use `shardmill evaluate`",
            )
        self._labels = run.labels
        self._truth = find_true_classes(files, run.labels)
        self._cells: Counter[tuple[int, int]] = Counter()
        self._without_prediction = 0
        self._is_none: Counter[tuple[bool, bool | None]] = Counter()

    def attach(self, predictions: Iterable[FilePrediction]) -> Iterator[FilePrediction]:
        """Yield the predictions for the files with their true classes, and count them."""
        label_of = {name: label for label, name in enumerate(self._labels)}
        for prediction, truth in zip(predictions, self._truth.classes, strict=True):
            if prediction.label is not None:
                self._is_none[truth is not None, prediction.none_of_these] += 1
            if truth is not None:
                if prediction.label is None:
                    self._without_prediction += 1
                else:
                    self._cells[label_of[truth], prediction.label] += 1
            yield replace(prediction, truth=truth)

    def summarize(self) -> FileEvaluation:
        """Return the metrics of the predictions so far."""
        images = self._cells.total()
        right = sum(count for (true, predicted), count in self._cells.items() if true == predicted)
        cells = [(*cell, count) for cell, count in sorted(self._cells.items())]
        metrics = summarize_classes(
            np.array(cells, np.int64).reshape(-1, 3), self._labels, all_classes=False
        )
        has_threshold = any(found is not None for _, found in self._is_none)
        unknown = sum(count for (known, _), count in self._is_none.items() if not known)
        return FileEvaluation(
            images=images,
            accuracy=right / images if images else None,
            accuracy_interval=wilson_interval(right, images) if images else None,
            per_class=tuple(metrics),
            confusions=tuple(self._confusions()),
            unknown_folders=dict(self._truth.unknown_folders),
            without_prediction=self._without_prediction,
            none_of_these=self._is_none[True, True] if has_threshold else None,
            unknown_images=unknown,
            unknown_none_of_these=self._is_none[False, True] if has_threshold else None,
        )

    def _confusions(self) -> Iterator[Confusion]:
        ranked = sorted(self._cells.items(), key=lambda item: (-item[1], item[0]))
        for (true, predicted), images in ranked:
            if true != predicted:
                yield Confusion(self._labels[true], self._labels[predicted], images)
