"""Bottleneck of a training run, and advice to remove it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trainers.config import ImageShape

INPUT_STAGES = ("read", "parse", "decode", "batch")
"""The stages that `input` consists of."""

_WORDS = {
    "read": "reading",
    "parse": "parsing",
    "decode": "decoding",
    "batch": "shuffling and batching",
    "augment": "augmentation",
    "step": "the training step",
}
_BAR_CHARACTERS = 40
# If step and input share the processor, an input three times as fast takes a quarter of the time.
_AMPLE = 3
# The number of shards that are read in parallel.
_ENOUGH_SHARDS = 16


class StageRate(msgspec.Struct, frozen=True):
    """The rate of one stage, measured while it waits for no other stage.

    Attributes:
        name: the name of the stage.
        images_per_second: the number of images processed per second.
    """

    name: str
    images_per_second: float


@dataclass(frozen=True)
class TrainingContext:
    """The facts that the advice depends on.

    Args:
        is_local: whether the shards are local files.
        shards: the number of training shards.
        is_raw: whether the shards contain raw pixels (`--store raw`).
        stored_size: (width, height) of all stored images in pixels; None if the sizes may differ.
        shape: the shape of the input images of the model.
        is_cropped: whether training uses random crops.
        has_gpu: whether training runs on a GPU.
        precision: the Keras dtype policy.
    """

    is_local: bool
    shards: int
    is_raw: bool
    stored_size: tuple[int, int] | None
    shape: ImageShape
    is_cropped: bool
    has_gpu: bool
    precision: str


def find_bottleneck(rates: Mapping[str, float]) -> str:
    """Return the stage that limits the training rate.

    The slower of `input` and `step` limits the rate. If `input` is slower, the result is its
    slowest stage. If `step` is slower, the result is `augment` if augmentation takes more than
    half of the time of the step; otherwise, it is `step`.

    Args:
        rates: the rates, in images per second, of `INPUT_STAGES`, `input`, `step` and, if the run
            has augmentation, `augment`.
    """
    if rates["input"] < rates["step"]:
        return min(INPUT_STAGES, key=lambda name: rates[name])
    if "augment" in rates and rates["augment"] < 2 * rates["step"]:
        return "augment"
    return "step"


def advise(bottleneck: str, context: TrainingContext) -> str:
    """Return advice for making the stage `bottleneck` faster."""
    advices: dict[str, Callable[[TrainingContext], str]] = {
        "read": _advise_reading,
        "parse": _advise_parsing,
        "decode": _advise_decoding,
        "batch": _advise_batching,
        "augment": _advise_augmenting,
        "step": _advise_stepping,
    }
    return advices[bottleneck](context)


def summarize(rates: Mapping[str, float], bottleneck: str, advice: str) -> str:
    """Return one sentence with the bottleneck, the rates and the advice."""
    input_rate, step_rate = f"{rates['input']:,.0f}", f"{rates['step']:,.0f}"
    if bottleneck in INPUT_STAGES:
        found = f"the input delivers {input_rate} images/s, and the step could process {step_rate}"
    else:
        found = f"the step processes {step_rate} images/s, and the input could deliver {input_rate}"
    if rates["input"] > _AMPLE * rates["step"]:
        advice += "; the input is not the problem"
    together = f"together they reach {rates['training']:,.0f}"
    return f"{_WORDS[bottleneck]} limits the training rate: {found}; {together}; {advice}"


def draw_table(rates: Sequence[StageRate]) -> Iterator[str]:
    """Yield one line per stage, with a bar proportional to the time per image."""
    slowest = min(rate.images_per_second for rate in rates)
    yield f"{'stage':8}  {'images/s':>10}  {'ms/image':>11}"
    for rate in rates:
        bar = "#" * round(_BAR_CHARACTERS * slowest / rate.images_per_second)
        yield (
            f"{rate.name:8}  {rate.images_per_second:>10,.0f}  "
            f"{1000 / rate.images_per_second:>11,.3f}  {bar}"
        ).rstrip()


def _advise_reading(context: TrainingContext) -> str:
    if not context.is_local:
        return "use --cache shards, which keeps copies of the shards on a disk of this machine"
    ways = ["put the dataset on a faster disk"]
    if context.is_raw:
        ways.append("store fewer bytes (convert without --store raw)")
    if context.shards < _ENOUGH_SHARDS:
        ways.append(f"read more shards in parallel (convert --shards {_ENOUGH_SHARDS})")
    return ", or ".join(ways)


def _advise_parsing(context: TrainingContext) -> str:
    if context.is_cropped:
        return "use a larger --batch-size, which parses more records at a time"
    return "use --cache disk, which stores decoded images without Examples to parse"


def _advise_decoding(context: TrainingContext) -> str:
    width_px, height_px = context.shape.width_px, context.shape.height_px
    size = f"{width_px}" if width_px == height_px else f"{width_px}x{height_px}"
    if context.is_cropped:
        if context.is_raw:
            return "use more processor cores: raw pixels only have to be cropped and resized"
        return f"store raw pixels, at a size slightly above {size} (convert --store raw --resize)"
    if context.stored_size != (width_px, height_px):
        raw = " --store raw" if context.is_raw else ""
        return f"store smaller images (convert --resize {size}{raw}), or use --cache disk"
    if context.is_raw:
        return "use more processor cores: the images need no decoding"
    return f"store raw pixels (convert --resize {size} --store raw), or use --cache disk"


def _advise_batching(_context: TrainingContext) -> str:
    return "use a faster processor: tf.data shuffles and batches one record at a time"


def _advise_augmenting(context: TrainingContext) -> str:
    fewer = "use fewer augmentations in --augment"
    return fewer if context.has_gpu else f"{fewer}, or a GPU"


def _advise_stepping(context: TrainingContext) -> str:
    if not context.has_gpu:
        return "use a GPU, a smaller --image-size or a smaller model"
    ways = "use a larger --batch-size"
    if context.precision == "float32":
        ways += ", --precision mixed_float16"
    return f"{ways} or a smaller model"
