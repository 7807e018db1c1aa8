"""Checks of a dataset on which a run is evaluated.

It must have the task and the classes of the run, or its target, images that were prepared alike,
and images that were not trained on.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from records.errors import UsageError
from records.images import ImageOptions
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.input.selection import hash_images
from trainers.runs.trained_images import read_trained_images
from trainers.tasks.target import find_column

if TYPE_CHECKING:
    from records.dataset import Dataset
    from trainers.input.selection import Selection
    from trainers.runs.run_dir import Run

_COMPARED_AS = {"raw": "png", "mixed": "source"}


class UntrainedImages(NamedTuple):
    """Records on which a run did not train, the number of the others, and notes for the user."""

    selection: Selection
    excluded: int = 0
    notes: tuple[str, ...] = ()


def require_same_outputs(run: Run, dataset: Dataset) -> None:
    """Check that a dataset has the task and the classes, or the target, of a run.

    Raises:
        UsageError: the task or the label map differs, or the dataset does not keep the column.
    """
    if run.target is not None:
        find_column(dataset, run.target)
        return
    require_same_task(run, dataset)
    require_same_classes(run, dataset)


def require_same_task(run: Run, dataset: Dataset) -> None:
    """Check that a dataset has the task of a run that predicts classes. Raises UsageError."""
    expected, found = run.config.task, dataset.manifest.settings.task
    if found != expected:
        command = shlex.join(["shardmill", "train", dataset.path, "NEW_RUN"])
        raise UsageError(
            "the dataset and the run have different tasks",
            path=dataset.path,
            expected=expected,
            got=found,
            hint=f"train a run on this dataset: {command}",
        )


def require_same_classes(run: Run, dataset: Dataset) -> None:
    """Check that a dataset has the label map of a run. Raises UsageError."""
    expected, found = run.labels, dataset.labels
    if len(found) != len(expected):
        raise UsageError(
            "the dataset and the run have different numbers of classes",
            path=dataset.storage.url,
            expected=_list_some(expected),
            got=_list_some(found),
        )
    for label, (name, other) in enumerate(zip(expected, found, strict=True)):
        if name != other:
            raise UsageError(
                f"the label maps of the dataset and the run differ at label {label}",
                path=dataset.storage.url,
                expected=escape_for_display(name),
                got=escape_for_display(other),
            )


def _list_some(labels: tuple[str, ...]) -> str:
    return f"{len(labels)}: {', '.join(labels[:5])}{' …' * (len(labels) > 5)}"


def find_fold(run: Run, dataset: Dataset) -> str | None:
    """Return the fold on which a run is validated; None without one, or in another dataset.

    A dataset that has grown is not another one: most of its images keep their folds.
    """
    known = run.config.plan_digests
    digests = tuple(part.plan_digest for part in dataset.manifest.generations)
    return run.config.options.fold if digests[: len(known)] == known else None


def require_same_preparation(run: Run, dataset: Dataset) -> None:
    """Check that the images of a dataset were prepared as those on which a run trained.

    Raises:
        UsageError: an option differs that changes pixels; the message has the options of the run.
    """
    expected = _preparation(run.config.images)
    found = _preparation(dataset.manifest.settings.images)
    different = [
        name
        for name in expected
        if expected[name] != found[name]
        and (name == "--resize" or (expected[name] and found[name]))
    ]
    if different:
        usual = _preparation(ImageOptions())
        given = {n: value for n, value in expected.items() if value and value != usual[n]}
        options = "".join(f" {name} {value}" for name, value in given.items())
        raise UsageError(
            "the images of the dataset were not prepared like those that the run trained on",
            path=dataset.storage.url,
            expected=_describe(expected, different),
            got=_describe(found, different),
            hint=f"convert as for the run: shardmill convert SOURCE OUTPUT{options}",
        )


def _preparation(images: ImageOptions) -> dict[str, str | None]:
    """Return the options of `convert` that change pixels; None for one without effect."""
    store = _COMPARED_AS.get(images.store, images.store)
    return {
        "--resize": None if images.resize is None else f"{images.resize[0]}x{images.resize[1]}",
        "--fit": None if images.resize is None else images.fit,
        "--store": store,
        "--channels": str(images.channels),
        "--jpeg-quality": None if store == "png" else str(images.jpeg_quality),
        "--background": images.background.upper(),
    }


def _describe(preparation: dict[str, str | None], names: list[str]) -> str:
    values = ((name, preparation[name]) for name in names)
    return " ".join(f"no {name}" if value is None else f"{name} {value}" for name, value in values)


def leave_out_trained(run: Run, dataset: Dataset, selection: Selection) -> UntrainedImages:
    """Leave out the images on which a run trained, if the dataset is not the one of the run.

    In the dataset of the run, neither another split nor the fold or the hold-out of the run has the
    training images. Nothing is left out of the split `train`.

    Raises:
        UsageError: the run trained on all of the images.
        CorruptDataError: an index, or the record of the training images, is damaged.
    """
    digests = tuple(part.plan_digest for part in dataset.manifest.generations)
    if selection.purpose == "train" or digests == run.config.plan_digests:
        return UntrainedImages(selection)
    hashes = read_trained_images(run)
    if hashes is None:
        note = "the dataset has changed since the run started, and the run has no record of its "
        return UntrainedImages(selection, notes=(f"{note}training images: some may be measured",))
    trained = [np.isin(found, hashes) for found in hash_images(dataset, selection)]
    untrained = selection.without(trained)
    excluded = selection.records - untrained.records
    if not excluded:
        return UntrainedImages(selection)
    images = f"{pluralize(excluded, 'image')} of {selection.purpose}"
    if not untrained.records:
        raise UsageError(
            f"the run trained on every image of {selection.purpose}",
            path=dataset.storage.url,
            got=images,
            hint="evaluate on a dataset with other images, or train a new run on this dataset",
        )
    note = f"the dataset has changed since the run started: leaving out {images}, on which the run "
    return UntrainedImages(untrained, excluded, (f"{note}trained",))
