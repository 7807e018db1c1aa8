"""Reading and decoding with Pillow: `pillow_decode.py SOURCE OUT N`.

The program uses N threads, and writes nothing to OUT.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from class_folders import ImageFile, list_images, report
from PIL import Image


def main(source: Path, threads: int) -> None:
    """Decode every file of every class folder."""
    started = time.perf_counter()
    images = list_images(source)
    shares = [images[number::threads] for number in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, shares))
    report(len(images), started)


def decode(images: list[ImageFile]) -> None:
    """Decode files one after another."""
    for image in images:
        with Image.open(image.path) as picture:
            picture.load()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[3]))
