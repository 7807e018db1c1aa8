"""Python API of training runs and feature stores: train, featurize."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from records.arguments import build_options, check_arguments
from trainers.augment.spec import to_augmentation
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from trainers.features.job import FeaturizeReport
    from trainers.options import (
        Augmentation,
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


@check_arguments
def train(
    dataset: str | PathLike[str],
    run: str | PathLike[str],
    *,
    target: str | None = None,
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
    augment: str | Augmentation | None = None,
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
    cache_limit_gb: float = 100.0,
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
    """Train a model on a dataset, and write the run to a folder.

    Each argument corresponds to the option of `shardmill train` with the same name.

        result = sm.train("data", "run", model="cnn", epochs=3, image_size=(96, 96))
        print(result.val_accuracy)

    Args:
        dataset: the folder or URL of a dataset.
        run: the folder or URL of the run; without `resume` it must be absent or empty.
        target: the name of a column of numbers that the dataset keeps, which the model predicts
            instead of classes. Images without a value are left out.
        model: the name of a model, registered or built in, or `package.module:builder`.
        mode: the mode: `scratch`, `transfer` (a new head on a frozen backbone) or `finetune`.
        weights: the initial weights of the backbone: `imagenet`, `none`, a weights file or a run
            folder. None means `imagenet`, except for `scratch`, which starts from random weights.
        unfreeze: the number of last backbone layers that `finetune` trains, or `all`.
        pooling: the pooling of the backbone's feature map before the head.
        head_units: the number of units of a dense layer before the logits; 0 means none.
        head_dropout: the dropout rate before the logits.
        head_epochs: the number of epochs in which `finetune` trains only the head, before it also
            trains the backbone.
        features: the folder or URL of a feature store made by `featurize`, for `transfer`; if None,
            the features are cached automatically.
        dropout: the dropout rate of models without a backbone; None means the default of the model.
        l2: the factor of the L2 penalty on the trained kernels, which is added to the loss.
        augment: an augmentation specification, such as `flip,rotate=20,zoom=0.2`.
        optimizer: the Keras name of the optimizer, in lower case.
        learning_rate: the learning rate; None means the default for this model and mode.
        schedule: the schedule of the learning rate over all steps.
        warmup_steps: the number of steps over which the learning rate rises from 0.
        label_smoothing: the share of the true class's probability that is spread over all classes;
            with any number of labels per image, the share by which each label approaches 0.5.
        class_weights: the class weights; `balanced` weights are the inverse of class frequencies,
            or, with any number of labels per image, of the images with and without each label.
        early_stopping: the number of epochs without a lower validation loss after which the run
            ends; None means that it never ends early.
        precision: the numeric precision of the computation.
        jit: whether to compile with XLA; Keras decides if None.
        epochs: the number of passes over the training images.
        steps: the number of batches to train on, instead of `epochs`.
        batch_size: the number of images per step.
        image_size: the input size in pixels: (height, width), or one number for a square. None
            means the size that `convert` resized the images to. If it did not resize them, None
            means the size that all training images share, unless it exceeds the model's default;
            otherwise the model's default.
        seed: the seed of the image order, the initial weights and the augmentation.
        cache: the data to keep between epochs: `none`, decoded images in `memory` or on `disk`, or
            copies of `shards` on disk, for a dataset at a URL.
        cache_limit_gb: the maximum size of the copies of shards of all datasets, in GB.
        validation_split: the split to validate on. None means `validation`, or a tenth of `train`
            if the dataset has no validation split.
        checkpoint_steps: the number of steps between checkpoints, in addition to those that
            `checkpoint_minutes` causes; None means no additional checkpoints.
        checkpoint_minutes: the number of minutes between checkpoints.
        keep_checkpoints: the number of newest checkpoints to keep.
        skip_bad: the maximum number of corrupt records to skip; if there are more, the run fails.
        tensorboard: whether to write TensorBoard logs.
        resume: whether to continue the run if it exists.
        on_message: a callback that receives each message that `shardmill train` would print, and
            one line per epoch unless `progress` is given; `print` shows them in a notebook.
        progress: an object that is notified of each step and epoch.

    Returns:
        The training and validation metrics and losses of the epoch whose weights are kept.

    Raises:
        UsageError: an option does not fit the dataset, the model or the run.
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: a record is corrupt.
        OutputError: the run folder is not empty, or cannot be written.
        LockedError: another process is training this run.
        StorageError: storage failed after retries.
    """
    given = dict(locals())
    for name in ("dataset", "run", "resume", "on_message", "progress"):
        del given[name]
    from trainers.runs.create import complete_run
    from trainers.runs.result import find_result
    from trainers.runs.resume import find_run, merge_options
    from trainers.training.plan import plan_training
    from trainers.training.train import train as run_training

    log = on_message or _ignore
    options = _build_train_options(given)
    found = find_run(run) if resume else None
    if found is not None:
        options = merge_options(found, _changed_options(options))
    plan = plan_training(os.fspath(dataset), run, options, resume=resume)
    for note in plan.notes:
        log(note)
    finished = find_result(plan)
    if finished is not None:
        complete_run(plan.run)
        return finished
    return run_training(plan, on_message=on_message, progress=progress)


@check_arguments
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
    skip_bad: int = 0,
    runner: str = "local",
    beam_flags: Sequence[str] = (),
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> FeaturizeReport:
    """Compute the backbone features of every image of a dataset, and store them.

        sm.featurize("data", "features", model="mobilenet_v2")

    Args:
        dataset: the folder or URL of a dataset.
        output: the folder or URL of the feature store.
        model: the name of a model with a backbone.
        weights: the weights of the backbone: `imagenet`, `none`, a weights file or a run folder.
        image_size: the input size in pixels: (height, width), or one number for a square; the
            default is that of `train`.
        pooling: the pooling of the backbone's feature map.
        dtype: the data type of the stored features.
        batch_size: the number of images per backbone call.
        skip_bad: the maximum number of damaged records that get no features; if there are more, the
            first one raises an error.
        runner: the name of the runner that computes features; see `convert`.
        beam_flags: the flags to pass to Beam.
        dry_run: whether to only report what would be done, and write nothing.
        on_progress: a callback that receives the number of processed images and the total number.

    Raises:
        UsageError: an option does not fit the dataset or the model.
        InputNotFoundError: the dataset or the weights do not exist.
        CorruptDataError: more than `skip_bad` records are damaged.
        OutputError: the store cannot be written, or contains features of a different dataset,
            model or set of weights.
        LockedError: another process is writing to the store.
    """
    from records.runtime.shard_worker import RunnerConfig
    from shardmill.wiring import PipelineExecutor
    from trainers.backend import start_backend
    from trainers.features.job import featurize as run_job
    from trainers.features.plan import FeaturizeOptions, plan_features

    given = {
        "model": model,
        "weights": weights,
        "image_size": _square(image_size),
        "pooling": pooling,
        "dtype": dtype,
        "batch_size": batch_size,
        "skip_bad": skip_bad,
    }
    options = build_options(FeaturizeOptions, given)
    chosen = RunnerConfig(runner, tuple(beam_flags))
    executor = PipelineExecutor()
    executor.check_runner(chosen)
    plan = plan_features(os.fspath(dataset), os.fspath(output), options)
    start_backend()
    return run_job(
        plan, executor, chosen, dry_run=dry_run, on_progress=on_progress or (lambda *_: None)
    )


def _build_train_options(given: dict[str, Any]) -> TrainOptions:
    augment, image_size = to_augmentation(given["augment"]), _square(given["image_size"])
    return build_options(TrainOptions, {**given, "augment": augment, "image_size": image_size})


def _changed_options(options: TrainOptions) -> dict[str, Any]:
    """Return the options that differ from the defaults."""
    defaults = msgspec.structs.asdict(TrainOptions())
    given = msgspec.structs.asdict(options)
    return {name: value for name, value in given.items() if value != defaults[name]}


def _square(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _ignore(_line: str) -> None:
    """Discard a line."""
