"""One small call of every command of the command line."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

import shardmill.cli
from records.storage import open_storage
from tests.datasets import DatasetBuilder, encode_picture, make_sources
from tests.keys import write_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = shardmill.cli.shardmill
COMMANDS = tuple(ROOT.list_commands(click.Context(ROOT)))

_SHARD = "data/train-00000-of-00001.tfrecord"
# {new} is an absent path. The model of featurize is the smallest, with random weights.
CALLS = {
    "convert": "{photos} {new}",
    "compact": "{data} {new}",
    "remove": "{data} --where \"class == 'cat'\" --dry-run",
    "relabel": "{data} {corrected} --dry-run",
    "rollback": "{data} --to 1",
    "repair": "{data} {photos}",
    "prune": "{data} --older-than 0",
    "clean": "{photos}",
    "extract": "{data} {new}",
    "export-dataset": "{data} {new} --format parquet",
    "inspect": "{data} --grid {new}.png",
    "verify": "{data} --decode",
    "sign": "{data} --key {key}",
    "log": "{data}",
    "diff": "{data} {data} --plot {new}.png --csv {new}.csv",
    "files": "{data} --split train",
    "salvage": "{shard} {new}",
    "adopt": "{loose}/train.tfrecord {loose} --dry-run",
    "stats": "{data} --plot {new}.png",
    "quality": "{data} --grid {new}.png",
    "label-errors": (
        "{data} --model mobilenet_v2 --weights none --image-size 32 --folds 2 --grid {new}.png"
    ),
    "report": "{data} -o {new}.html",
    "featurize": "{data} {new} --model mobilenet_v2 --weights none --image-size 32",
    "models": "",
    "train": "{data} {new} --epochs 1 --image-size 12 --cache disk",
    "evaluate": "{run} {data} --csv {new}.csv",
    "runs": "{run} --chart {new}.png",
    "predict": "{run} {photos} --grid {new}.png --csv {new}.csv",
    "serve": "{run} --host no.such.host.invalid",
    "export": "{run} {new}",
    "doctor": "",
}
NEEDS_KERAS = {
    "label-errors",
    "runs",
    "featurize",
    "train",
    "evaluate",
    "predict",
    "serve",
    "export",
    "doctor",
}


def make_inputs(folder: Path) -> None:
    """Write two folders of photos and a dataset into a folder."""
    for number in range(12):
        photo = folder / "photos" / ("cat", "dög")[number % 2] / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(encode_picture(number))
    DatasetBuilder(open_storage(folder / "data")).build({"train": [make_sources(12)]})
    (folder / "corrected.csv").write_text("key,class\ncat/0.png,dog\n")
    write_keys(folder)
    (folder / "loose").mkdir()
    shutil.copy(folder / _SHARD, folder / "loose" / "train.tfrecord")


def arguments(command: str, folder: Path, new: Path) -> Sequence[str]:
    """Return the arguments of the call of a command, with the inputs in a folder."""
    paths = {
        "photos": folder / "photos",
        "data": folder / "data",
        "run": folder / "run",
        "shard": folder / _SHARD,
        "loose": folder / "loose",
        "corrected": folder / "corrected.csv",
        "key": folder / "key.pem",
        "new": new,
    }
    words = shlex.split(CALLS[command])
    return [command, *(word.format(**paths) for word in words)]
