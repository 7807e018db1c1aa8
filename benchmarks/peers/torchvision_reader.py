"""One epoch of torchvision's `ImageFolder`: `torchvision_reader.py SOURCE`.

A `DataLoader` with two workers reads the images.
"""

import sys
import time

from class_folders import report
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2 as transforms

_SIDE_PX = 224
_BATCH_SIZE = 32
_WORKERS = 2


def main(source: str) -> None:
    """Read one epoch to warm up, and measure the second one."""
    steps = [transforms.Resize((_SIDE_PX, _SIDE_PX)), transforms.PILToTensor()]
    images = ImageFolder(source, transforms.Compose(steps))
    batches = DataLoader(
        images, _BATCH_SIZE, shuffle=True, num_workers=_WORKERS, persistent_workers=True
    )
    for _ in range(2):
        started = time.perf_counter()
        count = sum(len(labels) for _, labels in batches)
    report(count, started)


if __name__ == "__main__":
    main(sys.argv[1])
