"""Files of class folders, listed in the same way for every peer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHARD_BYTES = 128 << 20


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


def shard_bytes_of(argv: Sequence[str]) -> int:
    """Return the shard size of a writer: the argument after SOURCE and OUT, or 128 MiB."""
    return int(argv[3]) if len(argv) > 3 else _SHARD_BYTES


def report(images: int, started: float, **more: float) -> None:
    """Print the number of images, the time since `started`, and `more`, as JSON for the harness."""
    print(json.dumps({"images": images, "seconds": time.perf_counter() - started, **more}))
