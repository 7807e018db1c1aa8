"""Odd images and damaged photos: stored as Pillow shows them, or rejected.

Stored images are decoded by TensorFlow and compared with the result of Pillow alone, without
shardmill's code: upright, opaque, 8 bits, grey or RGB. Rejections must have a true reason.
"""

from __future__ import annotations

import io
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from records.images import ImageOptions, NormalizedImage, Rejection, normalize_image
from tests.fuzz.mutations import apply, random_edits

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
MUTATIONS, QUICK_MUTATIONS = 1000, 150
MOST_PX = 100_000_000
LOSSLESS = {"PNG", "GIF", "BMP", "TIFF", "MPO"}
# Lossless sources must be identical; in a re-encoded JPEG, most pixels must be close.
LEVELS, MEAN_LEVELS = 2, 6
Pixels = NDArray[np.uint8]


def shown_by_pillow(data: bytes) -> Image.Image | None:
    """Return the image that Pillow alone decodes from a file, None if it cannot."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            is_bmp = image.format == "BMP" and upright.mode == "RGBA"
            if is_bmp and upright.getchannel("A").getextrema() == (0, 0):  # padding, not alpha
                upright = upright.convert("RGB")
    except Exception:  # it raises nearly every exception type for wrong bytes
        return None
    return upright


def to_rgb(image: Image.Image) -> Pixels | None:
    """Return its pixels over white, None if its mode does not define 8-bit values."""
    if image.mode.startswith(("I", "F")):
        return None
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def decode() -> Callable[[NormalizedImage], Pixels]:
    """Return a decoder of stored images as training decodes them, to RGB."""
    import tensorflow as tf

    def decode_now(stored: NormalizedImage) -> Pixels:
        if stored.format == "jpeg":
            pixels = tf.io.decode_jpeg(stored.encoded, dct_method="INTEGER_ACCURATE").numpy()
        else:
            pixels = tf.io.decode_png(stored.encoded).numpy()
        assert pixels.shape == (stored.height, stored.width, stored.channels)
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3))

    return decode_now


def require_same_picture(data: bytes, stored: NormalizedImage, pixels: Pixels, name: str) -> bool:
    """Compare with Pillow, if it decodes the file; return whether it did."""
    image = shown_by_pillow(data)
    shown = None if image is None else to_rgb(image)
    if shown is None:
        return False
    assert shown.shape == pixels.shape, name
    difference = np.abs(shown.astype(np.int16) - pixels)
    is_lossless = stored.format == "png" or not stored.changes
    if is_lossless:
        assert difference.max(initial=0) <= LEVELS, name
    else:
        assert difference.mean() <= MEAN_LEVELS, name
    return True


def require_true_reason(data: bytes, rejection: Rejection, name: str) -> None:
    """Cross-check a reason with independent decoders of the file."""
    assert rejection.detail.isprintable(), name
    reason = rejection.reason
    if reason == "empty":
        assert not data, name
    elif reason == "truncated":
        # Every reader that decodes all of it complains, or its end is missing.
        assert not is_intact(data), (name, rejection)
    elif reason == "corrupt":
        assert not (is_intact(data) and decodes_in_tensorflow(data)), (name, rejection)
    else:
        assert reason in {"unsupported", "too-large"}, name


def is_intact(data: bytes) -> bool:
    """Return whether strict Pillow decodes all of it, and it ends as its format requires."""
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            kind = image.format
    except Exception:  # Pillow raises nearly every exception type for wrong bytes
        return False
    ends = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
    return ends.get(kind or "", b"") in data


def decodes_in_tensorflow(data: bytes) -> bool:
    import tensorflow as tf

    try:
        tf.io.decode_image(data, expand_animations=False)
    except tf.errors.OpError:
        return False
    return True


def check(data: bytes, decode: Callable[[NormalizedImage], Pixels], name: str) -> str:
    """Normalize a file and check the stored image or the rejection; return the outcome."""
    stored = normalize_image(data, ImageOptions(max_pixels=MOST_PX))
    if isinstance(stored, Rejection):
        require_true_reason(data, stored, name)
        return stored.reason
    shown = require_same_picture(data, stored, decode(stored), name)
    return "stored" if shown else "stored, not compared"


def photos(shared_data: Path) -> Sequence[Path]:
    """Return ten photos, evenly spaced over all flowers."""
    found = sorted((shared_data / "flowers").rglob("*.jpg"))
    return [found[place * len(found) // 10] for place in range(10)]


def mutate(photo: Path, chance: random.Random, *, as_png: bool) -> bytes:
    data = photo.read_bytes()
    if as_png:
        content = io.BytesIO()
        Image.open(photo).resize((160, 120)).save(content, "PNG")
        data = content.getvalue()
    # Half of the damage is in headers, because more can go wrong there.
    edits = random_edits(chance, most=3)
    if chance.random() < 0.5:
        edits = [edit._replace(at=edit.at * 700 / len(data)) for edit in edits]
    return apply(data, edits)


@pytest.mark.parametrize(
    "count", [QUICK_MUTATIONS, pytest.param(MUTATIONS, marks=pytest.mark.slow)]
)
def test_normalize_image_mutated_photos_are_stored_or_rejected_correctly(
    shared_data: Path, decode: Callable[[NormalizedImage], Pixels], count: int
) -> None:
    chosen = photos(shared_data)
    became: Counter[str] = Counter()
    for number in range(count):
        place = number % len(chosen)
        data = mutate(chosen[place], random.Random(number), as_png=place % 2 == 1)
        became[check(data, decode, f"mutation {number}")] += 1
    assert became["stored"] > count // 20, became
    assert became["corrupt"] + became["truncated"] > count // 4, became


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_normalize_image_odd_images_are_stored_or_rejected_correctly(
    shared_data: Path, decode: Callable[[NormalizedImage], Pixels], step: int
) -> None:
    files = sorted(path for path in (shared_data / "odd_images").rglob("*") if path.is_file())
    became = Counter(check(path.read_bytes(), decode, str(path)) for path in files[::step])
    assert became["stored"] > len(files) // step // 2, became
