"""Datasets of several generations with edits, and damage of their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.convert import convert
from pipelines.edit import relabel, remove
from pipelines.options import ConvertOptions
from pipelines.repair import RepairReport, make_options, repair
from pipelines.report import Report
from records.format.layout import CARD
from records.storage import Storage, open_storage
from tests.pipelines.pictures import CORRUPT, is_of_dataset, make_file, make_picture

IMAGES: dict[str, Any] = {"resize": 4, "store": "jpeg"}
"""Options with which each image is encoded again."""


def make_source(source: Path, number: int, images: int = 12) -> None:
    """Add pictures to a source, some of them corrupt, and a text file."""
    for place in range(images):
        name = f"{'cat' if place % 3 else 'dog'}/{number}-{place}.png"
        make_file(source, name, make_picture(100 * number + place, size=(6 + place % 2, 5)))
    for place in range(3):
        make_file(source, f"dog/bad{number}-{place}.png", CORRUPT)
    make_file(source, f"cat/note{number}.txt", b"text")


def convert_source(source: Path, output: str, **given: Any) -> Report:
    """Convert a source, or append it."""
    options: dict[str, Any] = {"test": 0.3, "shards": 2, "max_rejects": 99, "workers": 1}
    if given.get("append"):
        del options["shards"]
    images = given.pop("images", None)
    if images is not None:
        options["images"] = images
    return convert(ConvertOptions(source=str(source), output=output, **options | given))


def grow(source: Path, output: str, **given: Any) -> None:
    """Make a dataset of five generations: two of new images, two of edits, and one of both."""
    make_source(source, 1)
    convert_source(source, output, **given)
    make_source(source, 2)
    convert_source(source, output, append=True, **given)
    remove(output, keys=["cat/1-1.png", "dog/2-3.png"])
    relabel(output, {"dog/1-0.png": ("cat",), "cat/1-2.png": ("dog",)})
    make_source(source, 3)
    (source / "cat/1-4.png").rename(source / "dog/1-4.png")  # a new class
    convert_source(source, output, append=True, **given)


def read_all(location: str) -> dict[str, bytes]:
    """Return the files of a dataset by name, without its card and what depends on times."""
    storage = open_storage(location)
    names = (name for name in storage.list() if is_of_dataset(name) and name != CARD)
    return {name: storage.read(name) for name in names}


def write_all(location: str, files: dict[str, bytes]) -> Storage:
    """Write the files of a dataset; return its storage."""
    storage = open_storage(location)
    for name, content in files.items():
        storage.replace(name, content)
    return storage


def run_repair(location: str, source: Path | str, **given: Any) -> RepairReport:
    """Repair a dataset."""
    return repair(make_options(location, str(source), given))


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :]


def insert(content: bytes) -> bytes:
    at = len(content) // 3
    return content[:at] + b"\0" * 7 + content[at:]


DAMAGES: dict[str, Callable[[bytes], bytes] | None] = {
    "missing": None, "empty": lambda _: b"", "cut": cut, "flipped": flip, "inserted": insert,
}  # fmt: skip


def damage(storage: Storage, name: str, kind: str) -> None:
    """Damage a file."""
    make = DAMAGES[kind]
    if make is None:
        storage.remove(name)
    else:
        storage.replace(name, make(storage.read(name)))
