"""Thumbnails with libvips on one thread: `vips_thumbnail.py SOURCE OUT SIDE`."""

import os
import sys
import time
from pathlib import Path

from class_folders import list_images, report

os.environ["VIPS_CONCURRENCY"] = "1"  # read when pyvips is imported

import pyvips


def main(source: Path, out: Path, side_px: int) -> None:
    """Write the centre of every image of every class folder as a JPEG of SIDE × SIDE pixels."""
    started = time.perf_counter()
    images = list_images(source)
    for number, image in enumerate(images):
        (out / image.text).mkdir(parents=True, exist_ok=True)
        small = pyvips.Image.thumbnail(str(image.path), side_px, height=side_px, crop="centre")
        small.jpegsave(str(out / image.text / f"{number}.jpg"), Q=95, subsample_mode="off")
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
