"""The demo: handwritten digits from PNG files to a tested model.

The pictures are scikit-learn's (`load_digits`: 1,797 of 8 × 8 px, from the UCI repository), so
nothing is downloaded. Each run replaces the files in `demo/`. Expected on two cores:
a test accuracy of 0.97 or more.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import records

DEMO = Path("demo")
DIGITS, DATA, RUN = DEMO / "digits", DEMO / "data", DEMO / "run"
STATS, GRID, PREDICTIONS = PICTURES = tuple(
    DEMO / f"{name}.png" for name in ("stats", "grid", "predictions")
)
SIDE_PX = 32
PREDICTED_IMAGES = 3
OUTPUT_FILES = f"""
Look at
  {DEMO / "grid.png"}                  a sample of each class, from the shards
  {DEMO / "stats.png"}                 classes and sizes
  {RUN / "curves.png"}            accuracy and loss
  {RUN / "confusion-test.png"}    which digits are predicted as which
  {DEMO / "predictions.png"}           three files, predicted
The dataset is in {DATA}/, the model in {RUN / "model.weights.h5"}."""


def write_digits(folder: Path) -> int:
    """Write `folder/DIGIT/NUMBER.png`, enlarged to 32 × 32 px, and return their number."""
    digits = load_digits()
    # Their brightness goes from 0 to 16.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    for number, (pixels, digit) in enumerate(zip(images, digits.target, strict=True)):
        path = folder / str(digit) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(path)
    return len(images)


def run_shardmill(*arguments: str | Path) -> None:
    """Print a command and run it; exit with its status if it fails."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ {shlex.join(['shardmill', *words])}", flush=True)
    program = Path(sys.executable).with_name("shardmill")
    ended = subprocess.run([program, *words], check=False)
    if ended.returncode:
        sys.exit(ended.returncode)


def pick_unseen_files() -> list[Path]:
    """Return a few files of the test split, which training never reads."""
    test = records.open_dataset(DATA)["test"]
    return [DIGITS / test[number].key for number in range(PREDICTED_IMAGES)]


def main() -> None:
    """Run the commands from digits to predictions."""
    for made_last_time in (DIGITS, DATA, RUN):
        shutil.rmtree(made_last_time, ignore_errors=True)
    for picture in PICTURES:  # no command overwrites a file
        picture.unlink(missing_ok=True)
    print(f"{write_digits(DIGITS)} handwritten digits as PNG files, a folder per class: {DIGITS}/")
    run_shardmill("convert", DIGITS, DATA, "--test", "0.2", "--validation", "0.1")
    run_shardmill("verify", DATA, "--decode")
    run_shardmill("stats", DATA, "--plot", STATS)
    run_shardmill("inspect", DATA, "--grid", GRID)
    run_shardmill("train", DATA, RUN, "--model", "cnn", "--epochs", "20")
    run_shardmill("evaluate", RUN)
    run_shardmill("predict", RUN, *pick_unseen_files(), "--grid", PREDICTIONS)
    print(OUTPUT_FILES, flush=True)


if __name__ == "__main__":
    main()
