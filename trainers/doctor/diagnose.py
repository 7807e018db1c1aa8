"""Which stage holds a training back, from the rate that each could go at, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trainers.config import ImageShape

INPUT_STAGES = ("read", "parse", "decode", "batch")
"""The parts of `input`."""

_WORDS = {
    "read": "reading",
    "parse": "parsing",
    "decode": "decoding",
    "batch": "shuffling and batching",
    "augment": "augmentation",
    "step": "the training step",
}
_BAR_CHARACTERS = 40
# Where step and input share the processor, one three times as fast still takes a quarter of it.
_AMPLE = 3
# So many are read side by side.
_ENOUGH_SHARDS = 16


class StageRate(msgspec.Struct, frozen=True):
    """How fast a stage goes with nothing to wait for.

    Args:
        name: of the stage.
        images_per_second: how many images it is done with.
    """

    name: str
    images_per_second: float


@dataclass(frozen=True)
class TrainingContext:
    """What advice depends on.

    Args:
        is_local: whether the shards are files of this machine.
        shards: how many there are to train on.
        is_raw: whether they hold pixels.
        stored_size: (width, height) of every stored image in pixels; None where they differ.
        shape: what the model is fed.
        is_cropped: whether training takes random crops.
        has_gpu: whether a GPU computes.
        precision: Keras's dtype policy.
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
    """The stage that would have to become faster first.

    Of the input and the step the slower one; within the input its slowest stage, and of a step that
    spends most of its time on augmentation, that.

    Args:
        rates: images a second of `INPUT_STAGES`, `input`, `step`, and `augment` where there is one.
    """
    if rates["input"] < rates["step"]:
        return min(INPUT_STAGES, key=lambda name: rates[name])
    if "augment" in rates and rates["augment"] < 2 * rates["step"]:
        return "augment"
    return "step"


def advise(bottleneck: str, circumstances: TrainingContext) -> str:
    """What makes that stage faster."""
    advices: dict[str, Callable[[TrainingContext], str]] = {
        "read": _advise_reading,
        "parse": _advise_parsing,
        "decode": _advise_decoding,
        "batch": _advise_batching,
        "augment": _advise_augmenting,
        "step": _advise_stepping,
    }
    return advices[bottleneck](circumstances)


def summarize(rates: Mapping[str, float], bottleneck: str, advice: str) -> str:
    """A sentence that says which stage holds training back, by how much, and what to do."""
    input_rate, step_rate = f"{rates['input']:,.0f}", f"{rates['step']:,.0f}"
    if bottleneck in INPUT_STAGES:
        found = f"the input gives {input_rate} images/s, and the step could take {step_rate}"
    else:
        found = f"the step takes {step_rate} images/s, and the input could give {input_rate}"
    if rates["input"] > _AMPLE * rates["step"]:
        advice += "; the input is not the problem"
    together = f"{rates['training']:,.0f} together"
    return f"{_WORDS[bottleneck]} holds training back: {found}, {together}; {advice}"


def draw_table(rates: Sequence[StageRate]) -> Iterator[str]:
    """A line for each stage; its bar is the time of an image, so the longest is the slowest."""
    slowest = min(rate.images_per_second for rate in rates)
    yield f"{'stage':8}  {'images/s':>10}  {'ms an image':>11}"
    for rate in rates:
        bar = "#" * round(_BAR_CHARACTERS * slowest / rate.images_per_second)
        yield (
            f"{rate.name:8}  {rate.images_per_second:>10,.0f}  "
            f"{1000 / rate.images_per_second:>11,.3f}  {bar}"
        ).rstrip()


def _advise_reading(circumstances: TrainingContext) -> str:
    if not circumstances.is_local:
        copy = "copy the dataset to a disk of this machine"
        return copy if circumstances.is_cropped else f"{copy}, or use --cache disk"
    ways = ["put the dataset on a faster disk"]
    if circumstances.is_raw:
        ways.append("store fewer bytes (convert without --store raw)")
    if circumstances.shards < _ENOUGH_SHARDS:
        ways.append(f"more shards to read side by side (convert --shards {_ENOUGH_SHARDS})")
    return ", or ".join(ways)


def _advise_parsing(circumstances: TrainingContext) -> str:
    if circumstances.is_cropped:
        return "a larger --batch-size parses more records at a time"
    return "use --cache disk, which has no Examples left to parse"


def _advise_decoding(circumstances: TrainingContext) -> str:
    width_px, height_px = circumstances.shape.width_px, circumstances.shape.height_px
    size = f"{width_px}" if width_px == height_px else f"{width_px}x{height_px}"
    if circumstances.is_cropped:
        if circumstances.is_raw:
            return "more processor cores: only crops are left to be cut out and resized"
        return f"store pixels (convert --store raw --resize, to somewhat more than {size})"
    if circumstances.stored_size != (width_px, height_px):
        raw = " --store raw" if circumstances.is_raw else ""
        return f"store smaller images (convert --resize {size}{raw}), or use --cache disk"
    if circumstances.is_raw:
        return "more processor cores: nothing is left to decode"
    return f"store pixels (convert --resize {size} --store raw), or use --cache disk"


def _advise_batching(_circumstances: TrainingContext) -> str:
    return "a faster processor: this is tf.data's own work, record by record"


def _advise_augmenting(circumstances: TrainingContext) -> str:
    fewer = "fewer words of --augment"
    return fewer if circumstances.has_gpu else f"{fewer}, or a GPU"


def _advise_stepping(circumstances: TrainingContext) -> str:
    if not circumstances.has_gpu:
        return "a GPU, a smaller --image-size or a smaller model"
    ways = "a larger --batch-size"
    if circumstances.precision == "float32":
        ways += ", --precision mixed_float16"
    return f"{ways} or a smaller model"
