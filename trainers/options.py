"""Options of a training run, named like the command-line options."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import msgspec

from records.arguments import NotNegative, Positive

Cache = Literal["none", "memory", "disk", "shards"]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=65_500)]
Units = Annotated[int, msgspec.Meta(ge=0, le=2**16)]
Folds = Annotated[int, msgspec.Meta(ge=2, le=100)]
Mistakes = Annotated[int, msgspec.Meta(ge=0, le=100)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_MOST = sys.float_info.max  # excludes infinity
Amount = Annotated[float, msgspec.Meta(ge=0, le=_MOST)]
PositiveAmount = Annotated[float, msgspec.Meta(gt=0, le=_MOST)]
Part = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Mode = Literal["scratch", "transfer", "finetune"]
Pooling = Literal["avg", "max", "flatten"]
FeatureType = Literal["float16", "float32"]
"""The data type of stored features."""
Schedule = Literal["constant", "cosine"]
ClassWeights = Literal["none", "balanced"]
TaskName = Literal["classification", "multi-label", "regression"]
"""The names of the tasks of runs: those of datasets, and `regression`."""
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
OPTIMIZERS = (
    "adam", "adamw", "sgd", "rmsprop", "nadam", "adamax", "adagrad", "adadelta", "adafactor",
    "lion", "ftrl",
)  # fmt: skip
"""The names of the Keras optimizers, in lower case."""


class Augmentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Random changes of training images; none by default.

    Attributes:
        flip: the axes along which images are mirrored at random.
        rotate_degrees: the largest rotation, in either direction.
        shift: the largest shift, as a fraction of each side.
        zoom: the largest change of size, as a fraction.
        contrast: the largest change of contrast, as a fraction.
        brightness: the largest change of brightness, as a fraction of the range of values.
        crop: the smallest fraction of the area that a random crop keeps (0.08 in Inception); 1
            disables cropping.
    """

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotate_degrees: Annotated[float, msgspec.Meta(ge=0, le=180)] = 0.0
    shift: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    zoom: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    contrast: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    brightness: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    crop: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class TrainOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a training run; each field has the name of its flag.

    Attributes:
        target: the name of a column of numbers that the dataset keeps, which the model predicts;
            None means that the model predicts classes.
        model: the name of a model, or `package.module:builder`.
        mode: the layers to train. `scratch` trains all layers from random weights; `transfer`
            trains a new head on a frozen backbone; `finetune` trains the head first, then also
            layers of the backbone.
        weights: the initial weights of the backbone: `imagenet`, `none`, a weights file or a run
            folder; None means `none` for `scratch`, and `imagenet` for the other modes.
        unfreeze: the number of layers at the end of the backbone that `finetune` trains, or `all`.
        pooling: the pooling of the backbone's feature map before the head: avg, max or flatten.
        head_units: the number of units of a dense layer between the pooled features and the logits;
            0 means no dense layer.
        head_dropout: the dropout rate before the logits.
        head_epochs: the number of epochs in which `finetune` trains only the head, before it also
            trains the backbone.
        features: the location of a feature store from `featurize`, for `transfer` without
            augmentation; None means a store in the cache, which is created if it is missing.
        dropout: the dropout rate of CNNs; None means the default of the model.
        l2: the factor of the L2 penalty on the kernels of the trained layers.
        augment: random changes of training images.
        optimizer: the Keras name of the optimizer, in lower case.
        learning_rate: the learning rate; None means the default of the model for `scratch`, 1e-3
            for `transfer`, and 1e-5 for `finetune` after the epochs of the head.
        schedule: the schedule of the learning rate over all steps.
        warmup_steps: the number of steps in which the learning rate rises from 0.
        label_smoothing: the share of probability that is spread over all classes; with any number
            of labels per image, the share by which each label approaches 0.5.
        class_weights: the weights of classes in the loss; `balanced` weights a class by the inverse
            of its frequency. With any number of labels per image, it weights the images with and
            the images without each label.
        early_stopping: the number of epochs without a lower validation loss after which a phase
            ends; None disables early stopping.
        precision: the precision of the computation; `auto` means mixed_bfloat16 on GPUs that
            support it, otherwise float32.
        jit: whether XLA compiles the model; None leaves the choice to Keras.
        epochs: the number of passes over the training images.
        steps: the number of batches to train on, instead of `epochs`.
        batch_size: the number of images per step.
        image_size: (height, width) in pixels; None means the size of the dataset if it has one (see
            `resolve_image_size`), otherwise the default input size of the model.
        seed: the seed of the image order, the initial weights and the augmentation.
        cache: the data that is kept between epochs: decoded images in `memory` or on `disk`, or
            copies of `shards` on disk.
        cache_limit_gb: the maximum size of the copies of shards of all datasets, in GB (10^9
            bytes).
        validation_split: the split to validate on; None means `validation`, or a hold-out of
            `train` if the dataset has no split `validation`.
        checkpoint_steps: the number of steps between checkpoints; None means only
            `checkpoint_minutes`.
        checkpoint_minutes: the number of minutes between checkpoints.
        keep_checkpoints: the number of checkpoints to keep.
        skip_bad: the maximum number of damaged records that are skipped; the run fails if more are
            damaged.
        tensorboard: whether to write TensorBoard logs too.
    """

    target: str | None = None
    model: str = "cnn"
    mode: Mode = "scratch"
    weights: str | None = None
    unfreeze: Positive | Literal["all"] = "all"
    pooling: Pooling = "avg"
    head_units: Units = 0
    head_dropout: Part = 0.0
    head_epochs: NotNegative = 3
    features: str | None = None
    dropout: Part | None = None
    l2: Amount = 0.0
    augment: Augmentation = Augmentation()
    optimizer: str = "adam"
    learning_rate: PositiveAmount | None = None
    schedule: Schedule = "constant"
    warmup_steps: NotNegative = 0
    label_smoothing: Part = 0.0
    class_weights: ClassWeights = "none"
    early_stopping: Positive | None = None
    precision: Precision = "auto"
    jit: bool | None = None
    epochs: Positive = 10
    steps: Positive | None = None
    batch_size: Positive = 32
    image_size: tuple[Pixels, Pixels] | None = None
    seed: Seed = 0
    cache: Cache = "none"
    cache_limit_gb: PositiveAmount = 100.0
    validation_split: str | None = None
    checkpoint_steps: Positive | None = None
    checkpoint_minutes: PositiveAmount = 10.0
    keep_checkpoints: Positive = 2
    skip_bad: NotNegative = 0
    tensorboard: bool = False
