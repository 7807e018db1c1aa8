"""Pictures to measure with: a folder of real photos repeated, or photos made here."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
from PIL import Image

_MADE = 200
_SIZE_PX = (320, 240)


def photos(out: Path, count: int) -> Path:
    """A folder a class with `count` photos in all, about 55 kB each where they are made here.

    Real ones come from `flowers` below the folder that SHARDMILL_TEST_DATA names; they are hard
    links where the file system allows.
    """
    data = os.environ.get("SHARDMILL_TEST_DATA")
    source = Path(data) / "flowers" if data else _make_photos(out.with_name("made"))
    files = sorted(path for path in source.rglob("*") if path.is_file())
    for number, path in enumerate(itertools.islice(itertools.cycle(files), count)):
        target = out / path.parent.name / f"{number:08d}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(path)
        except OSError:
            target.write_bytes(path.read_bytes())
    return out


def small_images(out: Path, count: int) -> Path:
    """A folder a class with `count` grey PNGs of 28×28 pixels."""
    random = np.random.default_rng(0)
    for number in range(count):
        folder = out / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (7, 7), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        Image.fromarray(pixels).save(folder / f"{number:08d}.png")
    return out


def _make_photos(out: Path) -> Path:
    random = np.random.default_rng(0)
    for number in range(_MADE):
        folder = out / f"class-{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize(_SIZE_PX, Image.Resampling.BICUBIC))
        grain = random.normal(0, 12, image.shape)
        noisy = np.clip(image + grain, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:04d}.jpg", quality=92)
    return out
