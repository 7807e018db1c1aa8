"""Small pictures and folders of them, for the tests of conversions."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image


def make_picture(seed: int = 0, *, kind: str = "PNG", size: tuple[int, int] = (6, 5)) -> bytes:
    """Return a picture of noise, the same for the same seed; `size` is width × height in pixels."""
    width, height = size
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(samples).save(content, kind)
    return content.getvalue()


PICTURE = make_picture()
CORRUPT = PICTURE[:45] + bytes([PICTURE[45] ^ 0xFF]) + PICTURE[46:]


def make_file(root: Path, key: bytes | str, content: bytes = PICTURE) -> Path:
    """Write a file below `root`; `key` may hold any bytes that a file system takes."""
    path = root / os.fsdecode(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def make_folders(root: Path, **classes: int) -> Path:
    """Make class folders with this many different pictures below `root`; return `root`."""
    root.mkdir(parents=True, exist_ok=True)
    for place, (name, images) in enumerate(classes.items()):
        (root / name).mkdir()
        for number in range(images):
            make_file(root, f"{name}/{number:03d}.png", make_picture(place * 10_000 + number))
    return root


NOT_OF_THE_DATASET = frozenset(
    {"report.json", "provenance.json", "generations/fingerprints.parquet"}
)
"""The files that every run writes, and that depend on times."""


def is_of_dataset(name: str) -> bool:
    """Return whether a file is compared byte for byte: it does not depend on times."""
    return name not in NOT_OF_THE_DATASET and not name.endswith("/provenance.json")


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the content of all files of a dataset below a folder by name; see `is_of_dataset`."""
    names = {path: path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))}
    return {
        name: path.read_bytes()
        for path, name in names.items()
        if path.is_file() and is_of_dataset(name)
    }
