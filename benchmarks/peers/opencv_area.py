"""Resizer of img2dataset in the mode `center_crop`: `opencv_area.py SOURCE OUT SIDE`.

img2dataset decodes with OpenCV, resizes with area interpolation, and encodes as JPEG with quality
95. This program makes the same calls, without the downloads.
"""

import sys
import time
from pathlib import Path

import cv2
import numpy as np
from class_folders import list_images, report


def main(source: Path, out: Path, side_px: int) -> None:
    """Write the centre of every image of every class folder as a JPEG of SIDE × SIDE pixels."""
    cv2.setNumThreads(1)
    started = time.perf_counter()
    images = list_images(source)
    for number, image in enumerate(images):
        (out / image.text).mkdir(parents=True, exist_ok=True)
        pixels = cv2.imdecode(np.fromfile(image.path, np.uint8), cv2.IMREAD_COLOR)
        height, width = pixels.shape[:2]
        scale = side_px / min(height, width)
        size = round(width * scale), round(height * scale)
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        left, top = (size[0] - side_px) // 2, (size[1] - side_px) // 2
        middle = small[top : top + side_px, left : left + side_px]
        path = out / image.text / f"{number}.jpg"
        cv2.imwrite(str(path), middle, [cv2.IMWRITE_JPEG_QUALITY, 95])
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
