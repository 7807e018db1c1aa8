"""Python API of training runs and feature stores: train, featurize."""

from __future__ import annotations

import inspect
import os
import time
from typing import TYPE_CHECKING, Any, Literal

from records.arguments import build_options, check_arguments
from shardmill.planning import RunArguments, given_options, plan_runs, square
from trainers.options import Folds, RecipeName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from trainers.cross_validation.result import CrossValidation
    from trainers.features.job import FeaturizeReport
    from trainers.options import (
        Augmentation,
        Cache,
        ClassWeights,
        FeatureType,
        LoggerName,
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
    model: str | None = None,
    mode: Mode | None = None,
    weights: str | PathLike[str] | None = None,
    unfreeze: int | Literal["all"] = "all",
    pooling: Pooling = "avg",
    head_units: int = 0,
    head_dropout: float = 0.0,
    head_epochs: int | None = None,
    unfreeze_epochs: int = 0,
    lora: int | None = None,
    features: str | PathLike[str] | None = None,
    dropout: float | None = None,
    l2: float = 0.0,
    augment: str | Augmentation | Mapping[str, Any] | None = None,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    layer_decay: float | None = None,
    schedule: Schedule | None = None,
    warmup_steps: int = 0,
    label_smoothing: float = 0.0,
    class_weights: ClassWeights = "none",
    balanced: bool = False,
    ema: float | None = None,
    early_stopping: int | None = None,
    precision: Precision = "auto",
    jit: bool | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    seed: int = 0,
    cache: Cache | None = None,
    cache_limit_gb: float = 100.0,
    validation_split: str | None = None,
    fold: str | None = None,
    checkpoint_steps: int | None = None,
    checkpoint_minutes: float = 10.0,
    keep_checkpoints: int = 2,
    skip_bad: int = 0,
    log: LoggerName | Sequence[LoggerName] = (),
    tensorboard: bool = False,
    folds: Folds | None = None,
    data: str | PathLike[str] | None = None,
    recipe: RecipeName | None = None,
    minutes: float | None = None,
    resume: bool = False,
    on_message: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> TrainingResult | CrossValidation:
    """Train a model on a dataset, and write the run to a folder.

    Each argument corresponds to the option of `shardmill train` with the same name. An option that
    is not given has the default of the model and the mode, or the value that the recipe chooses.

        result = sm.train("data", "run", model="cnn", epochs=3, image_size=(96, 96))
        print(result.val_accuracy)

    Args:
        dataset: the folder or URL of a dataset, or of images, as for `convert`; they are converted
            first, with the default options.
        run: the folder or URL of the run; without `resume` it must be absent or empty.
        target: the name of a column of numbers that the dataset keeps, which the model predicts
            instead of classes. Images without a value are left out.
        model: the name of a model, registered or built in, `keras-hub:` and a preset of
            KerasHub, or `package.module:builder`; None means `cnn`.
        mode: the mode: `scratch`, `transfer` (a new head on a frozen backbone) or `finetune`; None
            means `scratch`.
        weights: the initial weights of the backbone: `imagenet`, `none`, a weights file or a run
            folder. None means `imagenet`, or the weights of the preset of KerasHub, except for
            `scratch`, which starts from random weights.
        unfreeze: the number of last backbone layers that `finetune` trains, or `all`.
        pooling: the pooling of the backbone's feature map or tokens before the head; `token` is the
            class token.
        head_units: the number of units of a dense layer before the logits; 0 means none.
        head_dropout: the dropout rate before the logits.
        head_epochs: the number of epochs in which `finetune` trains only the head, before it also
            trains the backbone; None means 3.
        unfreeze_epochs: the number of epochs in which `finetune` unfreezes the backbone gradually,
            from its last group of layers to its first, before the other epochs.
        lora: the rank of matrices that `finetune` trains in the attention layers of a backbone of
            KerasHub, instead of its layers; None means no LoRA.
        features: the folder or URL of a feature store made by `featurize`, for `transfer`; if None,
            the features are cached automatically.
        dropout: the dropout rate of models without a backbone; None means the default of the model.
        l2: the factor of the L2 penalty on the trained kernels, which is added to the loss.
        augment: an augmentation specification, such as `flip,rotate=20,zoom=0.2` or
            `randaugment,mixup`, or a mapping, as in `options.toml`.
        optimizer: the Keras name of the optimizer, in lower case.
        learning_rate: the learning rate; None means the default for this model and mode.
        layer_decay: the factor from the learning rate of each group of layers to that of the group
            before it, from the head to the first layers, such as 0.8, with `finetune`; None means
            one learning rate for all layers.
        schedule: the schedule of the learning rate over the steps of a phase: `constant`, `cosine`
            (falls to 0) or `one-cycle` (rises from 0, then falls to 0); None means the default for
            this model and mode.
        warmup_steps: the number of steps over which the learning rate rises from 0; with
            `one-cycle`, 0 means a quarter of the steps.
        label_smoothing: the share of the true class's probability that is spread over all classes;
            with any number of labels per image, the share by which each label approaches 0.5.
        class_weights: the class weights; `balanced` weights are the inverse of class frequencies,
            or, with any number of labels per image, of the images with and without each label. A
            mapping has the weights of classes by name; classes that it lacks have the weight 1.
        balanced: whether each class has the same number of images in an epoch: those of rare
            classes repeat, and some of frequent classes are left out.
        ema: the momentum of a moving average of the weights, such as 0.999, with which the model
            is validated, and which is kept; None means the weights of the last step.
        early_stopping: the number of epochs without a lower validation loss after which the run
            ends; None means that it never ends early.
        precision: the numeric precision of the computation.
        jit: whether to compile with XLA; Keras decides if None.
        epochs: the number of passes over the training images; None means 10.
        steps: the number of batches to train on, instead of `epochs`.
        batch_size: the number of images per step; None means 32, or 64 for `cnn-bn`.
        image_size: the input size in pixels: (height, width), or one number for a square. None
            means the size that `convert` resized the images to. If it did not resize them, None
            means the size that all training images share, unless it exceeds the model's default;
            otherwise the model's default.
        seed: the seed of the image order, the initial weights and the augmentation.
        cache: the data to keep between epochs: `none`, decoded images in `memory` or on `disk`, or
            copies of `shards` on disk, for a dataset at a URL; None means `none`.
        cache_limit_gb: the maximum size of the copies of shards of all datasets, in GB.
        validation_split: the split to validate on. None means `validation`, or a tenth of `train`
            if the dataset has no validation split.
        fold: the fold of `train` to validate on, such as `2/5`: the run trains on the other folds.
        checkpoint_steps: the number of steps between checkpoints, in addition to those that
            `checkpoint_minutes` causes; None means no additional checkpoints.
        checkpoint_minutes: the number of minutes between checkpoints.
        keep_checkpoints: the number of newest checkpoints to keep.
        skip_bad: the maximum number of corrupt records to skip; if there are more, the run fails.
        log: loggers that also record the metrics: `tensorboard`, `mlflow`, `wandb`, or several.
        tensorboard: whether to write TensorBoard logs, as with `log`.
        folds: the number of folds of a cross-validation: the folder gets a run for each fold, in
            `fold-1` and so on, the predictions for all images, and the result. None means one run.
        data: the folder or URL for the dataset, if `dataset` is a source of images; None means a
            folder in the cache.
        recipe: the recipe that chooses model, mode, augmentation and epochs for the data: `fast` or
            `accurate`. None means no recipe or, with `minutes`, `fast`.
        minutes: the time for the call in minutes. The speed of the machine is measured, the recipe
            chooses what fits, and the run ends in time. None means no limit.
        resume: whether to continue the run if it exists.
        on_message: a callback that receives each message that `shardmill train` would print, and
            one line per epoch unless `progress` is given; `print` shows them in a notebook.
        progress: an object that is notified of each step and epoch.

    Returns:
        A `TrainingResult`: the training and validation metrics and losses of the epoch whose
        weights are kept. With `folds`, a `CrossValidation`: the metrics of each run on its fold,
        their means and standard deviations, and those of all predictions.

    Raises:
        UsageError: an option does not fit the dataset, the model or the run.
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: a record is corrupt.
        OutputError: the run folder is not empty, or cannot be written.
        LockedError: another process is training this run.
        StorageError: storage failed after retries.
    """
    started_at = time.monotonic()
    given = given_options(locals(), inspect.signature(train).parameters)
    from trainers.cross_validation.plan import FoldsPlan
    from trainers.cross_validation.train import find_finished, train_folds
    from trainers.runs.create import complete_run
    from trainers.runs.result import find_result
    from trainers.training.train import train as run_training

    show = on_message or _ignore
    arguments = RunArguments(folds, data, recipe, minutes, resume, started_at)
    plan = plan_runs(dataset, run, given, arguments, on_message=show)
    for note in plan.notes:
        show(note)
    if isinstance(plan, FoldsPlan):
        return find_finished(plan) or train_folds(
            plan, on_message=on_message, progress=progress, quiet=on_message is None
        )
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
    weights: str | PathLike[str] | None = None,
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
        weights: the weights of the backbone: `imagenet`, `none`, a weights file or a run folder;
            None means `imagenet`, or the weights of the preset of KerasHub.
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
        "image_size": square(image_size),
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


def _ignore(_line: str) -> None:
    """Discard a line."""
