"""The training input against Keras's `image_dataset_from_directory`: alternating, medians, ratios.

python -m benchmarks.input_pipeline --photos 2000 --side 224
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.pictures import photos
from records.dataset import open_dataset
from trainers.config import ImageShape
from trainers.devices import start_backend
from trainers.selection import select_split

if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH_SIZE = 32
_KERAS = "image_dataset_from_directory"


def convert(source: Path, target: Path, *options: str) -> Path:
    """A dataset of the photos, all of them to train on."""
    program = Path(sys.executable).with_name("shardmill")
    command = [program, "convert", source, target, "--quiet", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target


def keras_batches(folder: Path, side_px: int) -> Any:
    """What people use instead: the class folders themselves."""
    import keras

    return keras.utils.image_dataset_from_directory(
        folder, image_size=(side_px, side_px), batch_size=_BATCH_SIZE, seed=0, verbose=0
    )


def our_batches(folder: Path, side_px: int, cache: Path | None = None) -> Any:
    """One epoch of the training input, from shards or from a disk cache of them."""
    from trainers.cache import keep_on_disk
    from trainers.input import ShardSource, read_shuffled
    from trainers.order import Order

    dataset = open_dataset(folder)
    train = select_split(dataset, "train")
    source = ShardSource.of(dataset, ImageShape(side_px, side_px))
    order = Order(seed=0, end_epoch=1)
    if cache is None:
        return read_shuffled(source, train, _BATCH_SIZE, order)
    kept = keep_on_disk(source, train, below=cache, say=lambda _: None)
    return read_shuffled(kept, train, _BATCH_SIZE, order)


def images_per_second(open_batches: Callable[[], Any]) -> float:
    """One epoch, read as fast as it comes; opening it counts."""
    started = time.perf_counter()
    images = sum(len(labels) for _, labels in open_batches())
    return images / (time.perf_counter() - started)


def list_inputs(work: Path, count: int, side_px: int) -> dict[str, Callable[[], Any]]:
    """Each way to read the same photos, by name."""
    source = photos(work / "photos", count)
    size = ("--resize", str(side_px))
    originals = convert(source, work / "originals")
    resized = convert(source, work / "resized", *size)
    raw = convert(source, work / "raw", *size, "--store", "raw")
    return {
        _KERAS: lambda: keras_batches(source, side_px),
        "shards, originals": lambda: our_batches(originals, side_px),
        "shards, --resize": lambda: our_batches(resized, side_px),
        "shards, --resize --store raw": lambda: our_batches(raw, side_px),
        "originals, --cache disk": lambda: our_batches(originals, side_px, work / "cache"),
    }


@click.command()
@click.option("--photos", "count", default=2000, show_default=True)
@click.option("--side", "side_px", default=224, show_default=True, help="Of the batches, in px.")
@click.option("--rounds", default=5, show_default=True)
def main(count: int, side_px: int, rounds: int) -> None:
    """Print images a second of each input, and how many times Keras's they are."""
    print(f"{start_backend()}, batches of {_BATCH_SIZE} at {side_px}×{side_px}")
    speeds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as work:
        inputs = list_inputs(Path(work), count, side_px)
        for number in range(rounds + 1):
            for name, open_batches in inputs.items():
                speed = images_per_second(open_batches)
                if number:  # the first round fills the page cache, and the disk cache
                    speeds[name].append(speed)
    for name, values in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(values, speeds[_KERAS], strict=True)]
        print(
            f"{name:30} {statistics.median(values):7,.0f} images/s"
            f"  {statistics.median(ratios):5.2f} × Keras"
        )


if __name__ == "__main__":
    main()
