"""Recall, false pairs and speed of `stats --near`.

The registry measures the search of random hashes. The recall and the false pairs on altered photos
are measured separately:

SHARDMILL_TEST_DATA=… python -m benchmarks.suites.near_duplicates --photos 300
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import numpy as np
from PIL import Image

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.alterations import ALTERATIONS, encode
from benchmarks.suites.conversion import OURS
from records.dedup.hamming_search import find_pairs
from records.dedup.perceptual_hash import SIDE_PX, WINDOWS, WORDS, hash_picture
from records.images import ImageOptions, NormalizedImage, normalize_image
from records.images.thumbnail import decode_thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from benchmarks.harness.settings import Setting

SEARCH = "search"
HASHES = "random hashes"
_FOLDERS = ("flowers", "cats_and_dogs")


def enter(setting: Setting) -> Entry:
    """Return the search, on increasing numbers of images, of which only the hashes exist."""

    def search(case: Case, _: Path) -> list[str]:
        return [sys.executable, program("shardmill_near_search"), str(case.images)]

    hash_bytes = WINDOWS * WORDS * 8
    cases = [
        Case(HASHES, Path(HASHES), images, images * hash_bytes)
        for images in setting.scale.searched_hashes
    ]
    return Entry([Contestant(SEARCH, search, OURS)], cases)


class Found(NamedTuple):
    """Numbers of altered photos, of altered photos that were found, and of wrong pairs."""

    pictures: int
    found: int
    wrong: int


def list_photos(data: Path, count: int) -> list[Path]:
    """Return `count` photos, evenly distributed over all photos; all if there are fewer."""
    files = sorted(path for name in _FOLDERS for path in (data / name).rglob("*.jpg"))
    return files if count >= len(files) else files[:: len(files) // count][:count]


def hash_file(content: bytes) -> NDArray[np.uint64]:
    """Return the perceptual hashes of an image file, as it is stored in a dataset."""
    stored = normalize_image(content, ImageOptions(check="header"))
    assert isinstance(stored, NormalizedImage), stored
    size = (stored.width, stored.height, stored.channels)
    words = hash_picture(decode_thumbnail(stored.encoded, stored.format, *size, side_px=SIDE_PX))
    return np.zeros((WINDOWS, WORDS), np.uint64) if words is None else words


def hash_altered(
    photos: Iterable[Path], alter: Callable[[Image.Image], bytes]
) -> NDArray[np.uint64]:
    """Return the hashes of altered photos."""

    def altered(path: Path) -> NDArray[np.uint64]:
        with Image.open(path) as image:
            return hash_file(alter(image.convert("RGB")))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.stack(list(threads.map(altered, photos)))


def hash_photos(photos: Iterable[Path]) -> NDArray[np.uint64]:
    """Return the hashes of unaltered photos."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.stack(list(threads.map(lambda path: hash_file(path.read_bytes()), photos)))


def drop_near(photos: Sequence[Path]) -> tuple[list[Path], NDArray[np.uint64]]:
    """Return the photos without near-duplicates, and their hashes.

    In later searches, only an original and its altered copy are a right pair.
    """
    hashes = hash_photos(photos)
    pairs = find_pairs(hashes)
    alone = np.setdiff1d(np.arange(len(photos)), np.r_[pairs.first, pairs.second])
    return [photos[place] for place in alone], hashes[alone]


def compare(originals: NDArray[np.uint64], altered: NDArray[np.uint64]) -> Found:
    """Search originals and altered photos together; pairs at equal positions are right."""
    count = len(originals)
    pairs = find_pairs(np.concatenate([originals, altered]))
    right = int((pairs.first + count == pairs.second).sum())
    return Found(count, right, len(pairs.first) - right)


def quarters(photos: Iterable[Path]) -> NDArray[np.uint64]:
    """Return the hashes of the quarters of each photo, which show different pictures."""
    parts = []
    for left, top in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)):

        def cut(image: Image.Image, left: float = left, top: float = top) -> bytes:
            width, height = image.size
            near = round(width * left), round(height * top)
            far = round(width * (left + 0.5)), round(height * (top + 0.5))
            return encode(image.crop((*near, *far)))

        parts.append(hash_altered(photos, cut))
    return np.concatenate(parts)


def time_search(pictures: int) -> float:
    """Return the seconds to search the random hashes of this number of pictures."""
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, (pictures, WINDOWS, WORDS), np.uint64)
    started = time.perf_counter()
    find_pairs(hashes)
    return time.perf_counter() - started


def _show_recall(photos: list[Path], originals: NDArray[np.uint64]) -> None:
    print("| altered | found | wrong pairs |\n|---|---|---|")
    for name, alter in ALTERATIONS.items():
        found = compare(originals, hash_altered(photos, alter))
        print(f"| {name} | {found.found / found.pictures:.1%} | {found.wrong} |", flush=True)


@click.command()
@click.option(
    "--photos", "count", default=300, show_default=True, help="Number of photos to alter."
)
@click.option(
    "--search",
    default=100_000,
    show_default=True,
    help="Number of pictures with random hashes to search.",
)
@click.option("--data", envvar="SHARDMILL_TEST_DATA", required=True, type=Path)
def main(count: int, search: int, data: Path) -> None:
    """Print the table of docs/how-to/duplicates.md, and the figures after it."""
    photos, originals = drop_near(list_photos(data, count))
    print(f"{len(photos)} photos\n")
    _show_recall(photos, originals)
    everything = list_photos(data, 1 << 30)
    started = time.perf_counter()
    alone, _ = drop_near(everything)
    speed = len(everything) / (time.perf_counter() - started)
    print(f"\n{len(everything) - len(alone)} of {len(everything)} photos have near-duplicates")
    print(f"{speed:,.0f} photos/s read, normalized and hashed, {os.cpu_count()} threads")
    parts = quarters(photos)
    wrong = len(find_pairs(parts).first)
    print(f"{wrong} pairs among {len(parts):,} quarters, of {len(parts) * (len(parts) - 1) // 2:,}")
    print(f"{search:,} random hashes searched in {time_search(search):.1f} s")


if __name__ == "__main__":
    main()
