"""Epochs of torchvision's `ImageFolder`, which decodes with Pillow.

`torchvision_reader.py MODE SOURCE EPOCHS CACHE`
"""

import sys

from torch_loader import collate_of, time_loader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2 as transforms

_SIDE_PX = 224


def main(mode: str, source: str, epochs: str, _cache: str) -> None:
    """Read the class folders, shuffled."""
    steps = {
        "whole": [transforms.Resize((_SIDE_PX, _SIDE_PX))],
        "crops": [transforms.RandomResizedCrop(_SIDE_PX), transforms.RandomHorizontalFlip()],
    }
    images = ImageFolder(source, transforms.Compose([*steps[mode], transforms.PILToTensor()]))
    time_loader(images, collate_of(mode), epochs, shuffle=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
