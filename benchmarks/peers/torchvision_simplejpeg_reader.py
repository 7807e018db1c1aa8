"""Epochs of torchvision's `ImageFolder` with simplejpeg instead of Pillow.

`torchvision_simplejpeg_reader.py MODE SOURCE EPOCHS CACHE`
"""

import sys
from pathlib import Path

from pixels import reader_of
from torch_loader import collate_of, time_loader
from torchvision.datasets import DatasetFolder
from torchvision.datasets.folder import IMG_EXTENSIONS


def main(mode: str, source: str, epochs: str, _cache: str) -> None:
    """Read the class folders, shuffled."""
    read = reader_of(mode)
    images = DatasetFolder(source, lambda path: read(Path(path).read_bytes()), IMG_EXTENSIONS)
    time_loader(images, collate_of(mode), epochs, shuffle=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
