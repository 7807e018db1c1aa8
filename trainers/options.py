"""Options of a training run, named like the command-line options."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Literal, NamedTuple

import msgspec

from records.arguments import NotNegative, Positive
from records.errors import UsageError
from records.text.urls import redact_location

Cache = Literal["none", "memory", "disk", "shards"]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=65_500)]
Units = Annotated[int, msgspec.Meta(ge=0, le=2**16)]
_MOST_FOLDS = 100
UnfreezeEpochs = Annotated[int, msgspec.Meta(ge=0, le=100)]
LoraRank = Annotated[int, msgspec.Meta(ge=1, le=1024)]
LayerDecay = Annotated[float, msgspec.Meta(gt=0, le=1)]
Folds = Annotated[int, msgspec.Meta(ge=2, le=_MOST_FOLDS)]
Mistakes = Annotated[int, msgspec.Meta(ge=0, le=100)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_MOST = sys.float_info.max  # excludes infinity
Amount = Annotated[float, msgspec.Meta(ge=0, le=_MOST)]
PositiveAmount = Annotated[float, msgspec.Meta(gt=0, le=_MOST)]
Part = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Mode = Literal["scratch", "transfer", "finetune"]
Pooling = Literal["avg", "max", "flatten", "token"]
"""The pooling of a feature map or of a sequence of tokens; `token` is the class token."""
FeatureType = Literal["float16", "float32"]
"""The data type of stored features."""
Schedule = Literal["constant", "cosine", "one-cycle"]
ClassWeights = Literal["none", "balanced"] | dict[str, Amount]
"""Equal weights, balanced weights, or the weights of classes by name."""
RecipeName = Literal["fast", "accurate"]
RECIPE_NAMES: tuple[RecipeName, ...] = ("fast", "accurate")
LoggerName = Literal["tensorboard", "mlflow", "wandb"]
"""The names of the loggers, which record the metrics of a run elsewhere."""
TaskName = Literal["classification", "multi-label", "regression"]
"""The names of the tasks of runs: those of datasets, and `regression`."""
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
KeptWeights = Literal["best", "last"]
"""The weights that a run keeps: of the epoch with the lowest validation loss, and of the last."""
RejectBelow = Annotated[float, msgspec.Meta(gt=0, le=1)] | Literal["auto"]
"""The score of the best class below which an image shows no class; `auto` compares features."""
Views = Annotated[int, msgspec.Meta(ge=1, le=10)]
"""The number of views of an image in test-time augmentation; see `trainers.augment.test_time`."""
NONE_OF_THESE = "none of these"
"""The text for an image that shows none of the classes of a model."""
OPTIMIZERS = (
    "adam", "adamw", "sgd", "rmsprop", "nadam", "adamax", "adagrad", "adadelta", "adafactor",
    "lion",
)  # fmt: skip
"""The names of the Keras optimizers, in lower case, but FTRL: it starts all weights at 0."""
_FOLD = re.compile(r"([1-9][0-9]{0,2})/([1-9][0-9]{0,2})")


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
        saturation: the largest change of the saturation of colors, as a fraction.
        hue: the largest change of the hue, as a fraction of half the color circle.
        erase: the probability that a rectangle of an image becomes gray.
        randaugment: the strength of the two operations of RandAugment, 0 to 30; 0 disables them.
        trivialaugment: the largest strength of the operation of TrivialAugment, as a fraction.
        mixup: the parameter of the beta distribution with which MixUp draws the share of an image.
        cutmix: the parameter of the beta distribution with which CutMix draws the area of an image.
    """

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotate_degrees: Annotated[float, msgspec.Meta(ge=0, le=180)] = 0.0
    shift: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    zoom: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    contrast: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    brightness: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    crop: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    saturation: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    hue: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    erase: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    randaugment: Annotated[float, msgspec.Meta(ge=0, le=30)] = 0.0
    trivialaugment: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    mixup: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    cutmix: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0

    @property
    def mixes_images(self) -> bool:
        """Whether images are mixed with other images of their batch, and labels too."""
        return self.mixup > 0 or self.cutmix > 0


class Fold(NamedTuple):
    """One of the parts of the split `train` in a cross-validation; its text form is `2/5`.

    Attributes:
        number: the number of the fold, from 1.
        folds: the number of folds, 2 to 100.
    """

    number: int
    folds: int

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Return the fold with this text form. Raises UsageError."""
        found = _FOLD.fullmatch(text)
        fold = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if not (1 <= fold.number <= fold.folds and 2 <= fold.folds <= _MOST_FOLDS):
            raise UsageError(
                "this is not a fold",
                expected=f"K/N, such as 2/5: K from 1 to N, and N from 2 to {_MOST_FOLDS}",
                got=text,
            )
        return fold

    def __str__(self) -> str:
        return f"{self.number}/{self.folds}"


class TrainOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a training run; each field has the name of its flag.

    `train` replaces the defaults of some fields by those of the model (`trainers.defaults`) and of
    a recipe (`trainers.recipes`), so that the options of a run contain every value that it uses.

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
        unfreeze_epochs: the number of epochs in which `finetune` unfreezes the backbone gradually,
            from its last group of layers to its first, before the main phase.
        lora: the rank of the matrices that `finetune` trains in the attention layers, instead of
            the layers of the backbone; None means no LoRA.
        features: the location of a feature store from `featurize`, for `transfer` without
            augmentation; None means a store in the cache, which is created if it is missing.
        dropout: the dropout rate of CNNs; None means the default of the model.
        l2: the factor of the L2 penalty on the kernels of the trained layers.
        augment: random changes of training images.
        optimizer: the Keras name of the optimizer, in lower case.
        learning_rate: the learning rate, with a schedule the highest; None means the default of the
            model and the mode. It does not apply to the epochs of the head in `finetune`.
        layer_decay: the factor from the learning rate of each group of layers to that of the group
            before it, from the head to the first layers of the backbone, in `finetune`; None means
            one learning rate for all layers.
        schedule: the schedule of the learning rate over the steps of a phase: `cosine` falls to 0;
            `one-cycle` rises from 0 over a quarter of the steps, then falls to 0.
        warmup_steps: the number of steps in which the learning rate rises from 0; with `one-cycle`,
            0 means a quarter of the steps.
        label_smoothing: the share of probability that is spread over all classes; with any number
            of labels per image, the share by which each label approaches 0.5.
        class_weights: the weights of classes in the loss; `balanced` weights a class by the inverse
            of its frequency. With any number of labels per image, it weights the images with and
            the images without each label. Of weights by name, missing classes have the weight 1;
            with any number of labels per image, they weight the images with each label.
        balanced: whether each class has the same number of images in an epoch, some of which
            repeat or are left out.
        ema: the momentum of the moving average of the weights, with which the model is validated,
            and which is kept; None keeps the weights of the last step.
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
        fold: the fold of `train` to validate on, such as `2/5`: training uses the other folds; None
            means no fold.
        checkpoint_steps: the number of steps between checkpoints; None means only
            `checkpoint_minutes`.
        checkpoint_minutes: the number of minutes between checkpoints.
        keep_checkpoints: the number of checkpoints to keep.
        skip_bad: the maximum number of damaged records that are skipped; the run fails if more are
            damaged.
        log: the loggers that record the metrics of the run.
        tensorboard: whether to write TensorBoard logs, as with `tensorboard` in `log`.
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
    unfreeze_epochs: UnfreezeEpochs = 0
    lora: LoraRank | None = None
    features: str | None = None
    dropout: Part | None = None
    l2: Amount = 0.0
    augment: Augmentation = Augmentation()
    optimizer: str = "adam"
    learning_rate: PositiveAmount | None = None
    layer_decay: LayerDecay | None = None
    schedule: Schedule = "constant"
    warmup_steps: NotNegative = 0
    label_smoothing: Part = 0.0
    class_weights: ClassWeights = "none"
    balanced: bool = False
    ema: Part | None = None
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
    fold: str | None = None
    checkpoint_steps: Positive | None = None
    checkpoint_minutes: PositiveAmount = 10.0
    keep_checkpoints: Positive = 2
    skip_bad: NotNegative = 0
    log: tuple[LoggerName, ...] = ()
    tensorboard: bool = False

    @property
    def loggers(self) -> tuple[LoggerName, ...]:
        """Return the loggers of the run, each once."""
        names: tuple[LoggerName, ...] = (*self.log, "tensorboard") if self.tensorboard else self.log
        return tuple(dict.fromkeys(names))

    def without_credentials(self) -> TrainOptions:
        """Return the options without the credentials in URLs, such as those of weights."""
        values = msgspec.structs.asdict(self).items()
        texts = {name: redact_location(value) for name, value in values if isinstance(value, str)}
        return msgspec.structs.replace(self, **texts)
