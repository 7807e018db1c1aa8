"""Runs on unbalanced classes: `shardmill_imbalance.py PHOTOS WEIGHTS OUT OPTIONS SEEDS`.

Each seed has other training and test photos, and another order of the classes by frequency.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import shardmill as sm
from benchmarks.harness.seeds import name_figures
from benchmarks.inputs.real_photos import BACKBONE, read_classes
from benchmarks.suites import imbalance


def measure(source: Path, weights: str, out: Path, options: dict[str, Any], seed: int) -> Any:
    """Return the figures of one seed."""
    rows = imbalance.choose_photos(read_classes(source), seed)
    out.mkdir(parents=True)
    with (out / "photos.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "class", "split"), *rows])
    sm.convert(source, out / "data", list=out / "photos.csv", check="header")
    sm.train(
        out / "data",
        out / "run",
        model=BACKBONE,
        mode="transfer",
        weights=weights,
        image_size=imbalance.SIDE_PX,
        epochs=imbalance.EPOCHS,
        seed=seed,
        **options,
    )
    found = sm.evaluate(out / "run", split="test")
    rarest = [name for _, name, split in rows if split == "train"][-1]
    recall = {each.name: each.recall for each in found.per_class}
    return {
        imbalance.ACCURACY: float(np.mean([*recall.values()])),
        imbalance.RAREST: recall[rarest],
    }


def main(source: Path, weights: str, out: Path, options: dict[str, Any], seeds: int) -> None:
    """Train with several seeds, and print the figures."""
    figures = {}
    for seed in range(seeds):
        figures |= name_figures(measure(source, weights, out / str(seed), options, seed), seed)
    print(json.dumps({"images": len(read_classes(source)), **figures}))


if __name__ == "__main__":
    arguments = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    main(*arguments, json.loads(sys.argv[4]), int(sys.argv[5]))
