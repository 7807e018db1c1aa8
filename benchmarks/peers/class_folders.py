"""Files of class folders, listed in the same way for every peer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple


class ImageFile(NamedTuple):
    """Image file: path, path relative to the source, label and class name."""

    path: Path
    key: str
    label: int
    text: str


def list_images(source: Path) -> list[ImageFile]:
    """Return all files of all class folders, sorted."""
    classes = sorted(path.name for path in source.iterdir() if path.is_dir())
    return [
        ImageFile(path, f"{text}/{path.name}", label, text)
        for label, text in enumerate(classes)
        for path in sorted((source / text).iterdir())
    ]


def report(images: int, started: float) -> None:
    """Print the number of images, and the time since `started`, as JSON for the harness."""
    print(json.dumps({"images": images, "seconds": time.perf_counter() - started}))
