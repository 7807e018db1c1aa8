"""Images of the benchmarks, in class folders in a cache.

Real images are used if any exist, otherwise synthetic ones. If there are too few images, they are
used several times. Each copy contains a different number in a comment (COM segment of a JPEG, tEXt
chunk of a PNG). Therefore, no two files are the same, and equal hashes save no work.
"""

from __future__ import annotations

import io
import itertools
import math
import shutil
import zlib
from typing import TYPE_CHECKING, NamedTuple

import click
import numpy as np
from PIL import Image

from benchmarks.harness.rounds import Case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PHOTOS = "photos"
SMALL = "small"
LARGE = "large photos"
COLLECTION = "collection"
COLLECTION_BYTES = 110_000
"""Mean size of a photo of a large collection; photos of ImageNet have about this size."""
_MADE_PHOTOS = 200
_MADE_SIZE_PX = (500, 375)
_MADE_DIGITS = 200
_QUALITY = 92
_TILE_PX = (504, 378)
_TILES = 64
_QUARTER_PX = (260, 195)
# With these qualities, a mosaic of four photos has about `COLLECTION_BYTES`.
_REAL_QUALITY = 96
_MADE_QUALITY = 93
_DIGIT_SIDE_PX = 28
_PNG_END_BYTES = 12


class Picture(NamedTuple):
    """Image file to write: class name, content, and suffix of the file name."""

    class_name: str
    content: bytes
    suffix: str


def describe(data: Path) -> dict[str, str]:
    """Return a description of the images, by case."""
    flowers, digits = (data / "flowers").is_dir(), (data / "mnist.npz").is_file()
    return {
        PHOTOS: "photos of flowers, cats and dogs" if flowers else "synthetic: smooth colours",
        SMALL: "MNIST's digits, 28×28 grey PNGs" if digits else "synthetic: 28×28 grey PNGs",
        COLLECTION: f"mosaics of four {'photos' if flowers else 'synthetic images'}",
    }


def photos(data: Path, cache: Path, images: int) -> Case:
    """Return a case with this number of photos, from `data` if it contains photos."""
    return _case(PHOTOS, cache, images, _real_photos(data) or _made_photos())


def small_images(data: Path, cache: Path, images: int) -> Case:
    """Return a case with this number of 28×28 grey PNGs, from MNIST if `data` contains it."""
    path = data / "mnist.npz"
    return _case(SMALL, cache, images, _digits(path) if path.is_file() else _made_digits())


def large_photos(data: Path, cache: Path, images: int) -> Case:
    """Return a case with this number of 12-megapixel photos, each a mosaic of 64 photos."""
    pictures = _real_photos(data) or _made_photos()
    tiles = zip(*[pictures] * _TILES, strict=False)  # incomplete mosaics are omitted
    return _case(LARGE, cache, images, (_mosaic(each, _TILE_PX) for each in tiles))


def collection(data: Path, cache: Path, images: int) -> Case:
    """Return a case with this number of photos of about `COLLECTION_BYTES` on average.

    Each photo is a mosaic of four smaller photos: each of them begins one mosaic, which continues
    with the next three.
    """
    real = _real_photos(data)
    quality = _MADE_QUALITY if real is None else _REAL_QUALITY
    pictures = list(itertools.islice(real or _made_photos(), images))
    # The last three continue with the first.
    windows = zip(*(pictures[start:] + pictures[:start] for start in range(4)), strict=True)
    return _case(
        COLLECTION, cache, images, (_mosaic(each, _QUARTER_PX, quality) for each in windows)
    )


def _mosaic(tiles: Sequence[Picture], tile_px: tuple[int, int], quality: int = _QUALITY) -> Picture:
    """Return a square of tiles of this width and height, with the class of the first tile."""
    across = math.isqrt(len(tiles))
    mosaic = Image.new("RGB", (across * tile_px[0], across * tile_px[1]))
    for number, tile in enumerate(tiles):
        image = Image.open(io.BytesIO(tile.content)).convert("RGB")
        place = number % across * tile_px[0], number // across * tile_px[1]
        mosaic.paste(image.resize(tile_px, Image.Resampling.BICUBIC), place)
    return Picture(tiles[0].class_name, _encode(np.asarray(mosaic), "jpeg", quality), ".jpg")


def _case(name: str, cache: Path, images: int, pictures: Iterator[Picture]) -> Case:
    """Return a case in a folder of images; write the folder if it does not exist."""
    folder = cache / "data" / f"{name.replace(' ', '-')}-{images}"
    if not folder.is_dir():
        click.echo(f"writing {images:,} images to {folder}", err=True)
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _write(unfinished, pictures, images)
        unfinished.rename(folder)
    files = (path for path in folder.rglob("*") if path.is_file())
    return Case(name, folder, images, sum(path.stat().st_size for path in files))


def _write(folder: Path, pictures: Iterator[Picture], images: int) -> None:
    made: list[Picture] = []
    for number in range(images):
        picture = next(pictures, None)
        if picture is None:
            original = made[number % len(made)]
            picture = original._replace(content=stamp(original.content, number))
        else:
            made.append(picture)
        path = folder / picture.class_name / f"{number:08d}{picture.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.content)


def stamp(content: bytes, number: int) -> bytes:
    """Return a copy of a JPEG or PNG file that contains the number in a comment."""
    text = b"copy %08d" % number
    if content.startswith(b"\xff\xd8"):
        return content[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text + content[2:]
    chunk = b"tEXtComment\0" + text
    framed = (len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    return content[:-_PNG_END_BYTES] + framed + content[-_PNG_END_BYTES:]


def _real_photos(data: Path) -> Iterator[Picture] | None:
    """Return the real photos, one of each class in turn; None if there are no photos."""
    folders = [*(data / "flowers").glob("*/"), *(data / "cats_and_dogs").glob("*/*/")]
    if not folders:
        return None
    files = [sorted(folder.iterdir()) for folder in sorted(folders)]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*files))
    return (Picture(path.parent.name, path.read_bytes(), path.suffix) for path in turns if path)


def _digits(path: Path) -> Iterator[Picture]:
    with np.load(path) as arrays:
        pixels, labels = arrays["x_train"], arrays["y_train"]
    for image, label in zip(pixels, labels, strict=True):
        yield Picture(str(label), _encode(image, "png"), ".png")


def _made_photos() -> Iterator[Picture]:
    """Yield synthetic images with smooth colours and the size of photos."""
    random = np.random.default_rng(0)
    for number in range(_MADE_PHOTOS):
        coarse = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(_MADE_SIZE_PX, Image.Resampling.BICUBIC)
        yield Picture(f"class-{number % 5}", _encode(np.asarray(image), "jpeg"), ".jpg")


def _made_digits() -> Iterator[Picture]:
    random = np.random.default_rng(0)
    size_px = (_DIGIT_SIDE_PX, _DIGIT_SIDE_PX)
    for number in range(_MADE_DIGITS):
        coarse = random.integers(0, 256, (7, 7), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(size_px, Image.Resampling.BICUBIC)
        yield Picture(str(number % 10), _encode(np.asarray(image), "png"), ".png")


def _encode(pixels: np.ndarray, kind: str, quality: int = _QUALITY) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, quality=quality)
    return content.getvalue()
