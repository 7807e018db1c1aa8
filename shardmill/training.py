"""Training runs and feature stores from Python: train, featurize."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trainers.augment.spec import parse_augmentation
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from trainers.features.job import FeaturizeReport
    from trainers.options import (
        Cache,
        ClassWeights,
        FeatureType,
        Mode,
        Pooling,
        Precision,
        Schedule,
    )
    from trainers.runs.result import TrainingResult
    from trainers.training.progress import Progress


def train(
    dataset: str | PathLike[str],
    run: str | PathLike[str],
    *,
    model: str = "cnn",
    mode: Mode = "scratch",
    weights: str | PathLike[str] | None = None,
    unfreeze: int | Literal["all"] = "all",
    pooling: Pooling = "avg",
    head_units: int = 0,
    head_dropout: float = 0.0,
    head_epochs: int = 3,
    features: str | PathLike[str] | None = None,
    dropout: float | None = None,
    l2: float = 0.0,
    augment: str | None = None,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    schedule: Schedule = "constant",
    warmup_steps: int = 0,
    label_smoothing: float = 0.0,
    class_weights: ClassWeights = "none",
    early_stopping: int | None = None,
    precision: Precision = "auto",
    jit: bool | None = None,
    epochs: int = 10,
    steps: int | None = None,
    batch_size: int = 32,
    image_size: int | tuple[int, int] | None = None,
    seed: int = 0,
    cache: Cache = "none",
    validation_split: str | None = None,
    checkpoint_steps: int | None = None,
    checkpoint_minutes: float = 10.0,
    keep_checkpoints: int = 2,
    skip_bad: int = 0,
    tensorboard: bool = False,
    resume: bool = False,
    on_message: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a model on a dataset into a new run folder.

    Each argument is the option of the same name of `shardmill train`.

        result = sm.train("data", "run", model="cnn", epochs=3, image_size=(96, 96))
        print(result.val_accuracy)

    Args:
        dataset: the folder or URL of a dataset.
        run: a local folder that does not exist or is empty, unless `resume`.
        model: the name of a model, registered or built in, or `package.module:builder`.
        mode: `scratch`, `transfer` (a new head on a frozen backbone) or `finetune`.
        weights: of the backbone: `imagenet`, `none` or a file.
        unfreeze: how many of the last layers of the backbone `finetune` trains.
        pooling: from the feature map of the backbone to the head.
        head_units: units of a dense layer before the logits; 0 is none.
        head_dropout: dropout before the logits.
        head_epochs: epochs for the head alone before `finetune` trains the backbone.
        features: a feature store made by `featurize`.
        dropout: dropout of the CNNs; the model's own if None.
        l2: weight decay of the trained kernels, as a term of the loss.
        augment: a specification such as `flip,rotate=20,zoom=0.2`.
        optimizer: the Keras name in lower case.
        learning_rate: the model's own if None.
        schedule: of the learning rate, over all steps.
        warmup_steps: steps over which the learning rate rises from 0.
        label_smoothing: the share of probability spread over all classes.
        class_weights: `balanced` weighs a class by the inverse of its frequency.
        early_stopping: stop after this many epochs without a lower validation loss.
        precision: of the computation.
        jit: compile with XLA; Keras decides if None.
        epochs: passes over the training images.
        steps: batches to train on, instead of `epochs`.
        batch_size: images per step.
        image_size: (height, width) in pixels, or one number for a square.
        seed: of the order, the initial weights and the augmentation.
        cache: where decoded images are kept between epochs.
        validation_split: `validation`, or a tenth of `train`, if None.
        checkpoint_steps: steps between checkpoints.
        checkpoint_minutes: minutes between checkpoints.
        keep_checkpoints: how many checkpoints to keep.
        skip_bad: corrupt records to skip before the run fails.
        tensorboard: also write TensorBoard logs.
        resume: continue the run if it exists.
        on_message: called with each line that the command line prints.
        progress: receives steps and epochs.

    Returns:
        Accuracy and loss on the training and the validation images, of the epoch whose weights
        are kept.

    Raises:
        UsageError: an option does not fit the dataset, the model or the run.
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: a record is corrupt.
        OutputError: the run folder is not empty, or cannot be written.
    """
    given = dict(locals())
    for name in ("dataset", "run", "resume", "on_message", "progress"):
        del given[name]
    from trainers.runs.result import find_result
    from trainers.runs.resume import find_run, merge_options
    from trainers.training.plan import plan_training
    from trainers.training.train import train as run_training

    log = on_message or _ignore
    changed = _changed_options(given)
    found = find_run(run) if resume else None
    options = msgspec.convert(changed, TrainOptions)
    if found is not None:
        options = merge_options(found, changed)
    plan = plan_training(os.fspath(dataset), run, options, resume=resume)
    for note in plan.notes:
        log(note)
    finished = find_result(plan)
    if finished is not None:
        return finished
    return run_training(plan, on_message=log, progress=progress)


def featurize(
    dataset: str | PathLike[str],
    output: str | PathLike[str],
    *,
    model: str,
    weights: str | PathLike[str] = "imagenet",
    image_size: int | tuple[int, int] | None = None,
    pooling: Pooling = "avg",
    dtype: FeatureType = "float16",
    batch_size: int = 32,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> FeaturizeReport:
    """Run a backbone over every image of a dataset once, and store its features.

        sm.featurize("data", "features", model="mobilenet_v2")

    Args:
        dataset: the folder or URL of a dataset.
        output: the folder or URL of the feature store.
        model: the name of a model with a backbone.
        weights: `imagenet`, `none` or a file.
        image_size: (height, width) in pixels, or one number for a square.
        pooling: from the feature map of the backbone to features.
        dtype: of the stored features.
        batch_size: images computed at a time.
        runner: as of `convert`.
        beam_flags: flags for Beam.
        dry_run: report what would be done, and write nothing.
        on_progress: called with the number of images done and the number of all images.

    Raises:
        UsageError: an option does not fit the dataset or the model.
        InputNotFoundError: the dataset or the weights do not exist.
        OutputError: the store cannot be written, or contains other features.
        LockedError: another process is writing to the store.
    """
    from records.runtime.shard_worker import RunnerConfig
    from shardmill.wiring import PipelineExecutor
    from trainers.backend import start_backend
    from trainers.features.job import FeaturizeOptions, plan_features
    from trainers.features.job import featurize as run_job

    options = FeaturizeOptions(
        model=model,
        weights=os.fspath(weights),
        image_size=_square(image_size),
        pooling=pooling,
        dtype=dtype,
        batch_size=batch_size,
    )
    chosen = RunnerConfig(runner, tuple(beam_flags))
    executor = PipelineExecutor()
    executor.check_runner(chosen)
    plan = plan_features(os.fspath(dataset), os.fspath(output), options)
    start_backend()
    return run_job(
        plan, executor, chosen, dry_run=dry_run, on_progress=on_progress or (lambda *_: None)
    )


def _changed_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the training options that are not the defaults, as `TrainOptions` takes them."""
    given["image_size"] = _square(given["image_size"])
    for name in ("weights", "features"):
        given[name] = None if given[name] is None else os.fspath(given[name])
    if given["augment"] is None:
        del given["augment"]
    else:
        given["augment"] = parse_augmentation(given["augment"])
    defaults = TrainOptions()
    return {name: value for name, value in given.items() if value != getattr(defaults, name)}


def _square(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _ignore(_line: str) -> None:
    """Discard a line."""
