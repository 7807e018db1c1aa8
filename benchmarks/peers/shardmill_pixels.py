"""Test images as arrays, decoded as in an evaluation: `shardmill_pixels.py DATASET OUT SIDE_PX`."""

import sys
from pathlib import Path

import numpy as np

from trainers.input import as_tf_dataset


def main(dataset: str, out: Path, side_px: int) -> None:
    """Write the images, uint8 (images, height, width, channels), and their labels."""
    batches = as_tf_dataset(dataset, "test", image_size=side_px).as_numpy_iterator()
    images, labels = zip(*batches, strict=True)
    out.mkdir()
    np.save(out / "images.npy", np.concatenate(images))
    np.save(out / "labels.npy", np.concatenate(labels))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
