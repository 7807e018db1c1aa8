"""The files of class folders, as every peer reads them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHARD_BYTES = 128 << 20


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


def shard_bytes_of(argv: Sequence[str]) -> int:
    """Return the shard size of a writer, the argument after SOURCE and OUT; 128 MiB by default."""
    return int(argv[3]) if len(argv) > 3 else _SHARD_BYTES


def report(images: int, started: float, **more: float) -> None:
    """Print the work done since `started` (of `time.perf_counter`) for the harness to read."""
    print(json.dumps({"images": images, "seconds": time.perf_counter() - started, **more}))
