"""Options of a training run, named as on the command line."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Cache = Literal["none", "memory", "disk"]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=65_500)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Part = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Mode = Literal["scratch", "transfer", "finetune"]
Pooling = Literal["avg", "max", "flatten"]
FeatureType = Literal["float16", "float32"]
"""The data type of stored features."""
Schedule = Literal["constant", "cosine"]
ClassWeights = Literal["none", "balanced"]
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
OPTIMIZERS = (
    "adam", "adamw", "sgd", "rmsprop", "nadam", "adamax", "adagrad", "adadelta", "adafactor",
    "lion", "ftrl",
)  # fmt: skip
"""Optimizers of Keras, by their names in lower case."""


class Augmentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Random changes of training images; none by default.

    Args:
        flip: along which axes images are mirrored at random.
        rotate_degrees: turned by up to this, either way.
        shift: moved by up to this part of each side.
        zoom: made larger or smaller by up to this part.
        contrast: changed by up to this part.
        brightness: changed by up to this part of the range from black to white.
        crop: the least part of the area that a random crop keeps (Inception's is 0.08); 1 is none.
    """

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotate_degrees: Annotated[float, msgspec.Meta(ge=0, le=180)] = 0.0
    shift: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    zoom: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    contrast: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    brightness: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    crop: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class TrainOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a training run, by the names of the flags.

    Args:
        model: the name of a model, or `package.module:builder`.
        mode: `scratch` trains all layers from random weights; `transfer` a new head on a frozen
            backbone; `finetune` the head first, then also layers of the backbone.
        weights: of the backbone: `imagenet`, `none`, or a file; None is the default of the mode.
        unfreeze: the number of last layers of the backbone that `finetune` trains.
        pooling: from the feature map of the backbone to the input of the head.
        head_units: of a dense layer between backbone and logits; 0 is none.
        head_dropout: dropout before the logits.
        head_epochs: epochs for the head alone before `finetune` trains the backbone.
        features: a feature store of `featurize`, for `transfer`; None creates one in the cache.
        dropout: of CNNs; None is the default of the model.
        l2: the weight of the squared kernels of the trained layers in the loss.
        augment: random changes of training images.
        optimizer: by Keras's name, in lower case.
        learning_rate: None is the default of model and mode.
        schedule: of the learning rate, over all steps.
        warmup_steps: over which the learning rate rises from 0.
        label_smoothing: the share of probability that is spread over all classes.
        class_weights: `balanced` weighs a class by the inverse of its frequency.
        early_stopping: epochs without a lower validation loss after which training ends.
        precision: of the computation; `auto` is mixed_bfloat16 on GPUs made for it.
        jit: compile by XLA; None leaves it to Keras.
        epochs: passes over the training images.
        steps: batches to train on, instead of `epochs`.
        batch_size: images per step.
        image_size: (height, width) in pixels; None leaves it to the dataset and the model.
        seed: decides the order of the images, the first weights, and the augmentation.
        cache: where decoded images are stored between epochs.
        validation_split: the split to validate on; None is `validation`, or a tenth of `train`.
        checkpoint_steps: steps between checkpoints; None is none by count.
        checkpoint_minutes: minutes between checkpoints.
        keep_checkpoints: how many of them.
        skip_bad: the number of damaged records to skip before failing.
        tensorboard: also write TensorBoard logs.
    """

    model: str = "cnn"
    mode: Mode = "scratch"
    weights: str | None = None
    unfreeze: Positive | Literal["all"] = "all"
    pooling: Pooling = "avg"
    head_units: NotNegative = 0
    head_dropout: Part = 0.0
    head_epochs: NotNegative = 3
    features: str | None = None
    dropout: Part | None = None
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    augment: Augmentation = Augmentation()
    optimizer: str = "adam"
    learning_rate: float | None = None
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
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    cache: Cache = "none"
    validation_split: str | None = None
    checkpoint_steps: Positive | None = None
    checkpoint_minutes: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    keep_checkpoints: Positive = 2
    skip_bad: NotNegative = 0
    tensorboard: bool = False
