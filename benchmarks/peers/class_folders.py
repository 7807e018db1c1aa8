"""The files of class folders, as every peer reads them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple


class ImageFile(NamedTuple):
    """One image: its file, its path below the source, its class's number and name."""

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
    """Print the work done since `started` (of `time.perf_counter`) for the harness to read."""
    print(json.dumps({"images": images, "seconds": time.perf_counter() - started}))
