"""Time and memory for image files that are made to be costly."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from records.images import ImageOptions, NormalizedImage, Rejection, normalize_image
from tests.records.images import bombs as make

ROOT = Path(__file__).parents[3]
_CHECK = """
import io, resource, sys, time
from contextlib import suppress
from PIL import Image
from records.errors import CorruptDataError
from records.images import ImageOptions, NormalizedImage, normalize_image
from records.images.normalize import decode_pixels, decode_record_image
from records.images.thumbnail import decode_thumbnail
from tests.records.images.bombs import bombs, encode

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

size, allowed_bytes, allowed_s = map(int, sys.argv[1:])
found = bombs(size)
for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
    normalize_image(encode(kind), ImageOptions())
for name, data in found.items():
    before, started = peak(), time.process_time()
    normalize_image(data, ImageOptions(resize=(8, 8)))
    try:
        decode_pixels(data, ImageOptions())
    except CorruptDataError:
        pass
    for check in ("decode", "header"):
        stored = normalize_image(data, ImageOptions(check=check))
        if not isinstance(stored, NormalizedImage):
            continue
        # A plain reader must be able to open what is stored; `header` finds no damaged pixels.
        tolerated = () if check == "decode" else (CorruptDataError, OSError)
        with suppress(*tolerated), Image.open(io.BytesIO(stored.encoded)) as image:
            image.load()
        features = stored.encoded, stored.format, stored.width, stored.height, stored.channels
        with suppress(*tolerated):
            decode_record_image(*features)
            decode_thumbnail(*features, side_px=8)
    for kind in ("jpeg", "png"):
        try:
            decode_record_image(data, kind, 16, 16, 3)
        except CorruptDataError:
            pass
    grown, took = peak() - before, time.process_time() - started
    assert grown < allowed_bytes + 8 * len(data), (name, len(data), grown)
    assert took < allowed_s, (name, len(data), took)
"""


def run_check(size: int, allowed_bytes: int, allowed_s: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _CHECK, *map(str, (size, allowed_bytes, allowed_s))],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_costly_files_take_little_memory_and_time() -> None:
    run_check(60_000, 24 << 20, 5)


@pytest.mark.slow
def test_larger_costly_files_take_little_memory_and_time() -> None:
    run_check(2_000_000, 40 << 20, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["exif", "xmp"])
def test_orientation_is_the_one_that_pillow_reads(kind: str, orientation: int, source: str) -> None:
    content = io.BytesIO()
    picture = Image.linear_gradient("L").resize((24, 16)).convert("RGB")
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"exif": exif} if source == "exif" else {"xmp": xmp}
    if kind == "TIFF" and source == "xmp":
        options = {"tiffinfo": {700: xmp}}
    if kind == "PNG" and source == "xmp":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=orientation % 2 == 0)
        options = {"pnginfo": text}
    picture.save(content, kind, **options)
    with Image.open(content) as image:
        found = image.getexif().get(0x0112, 1)
    stored = normalize_image(content.getvalue(), ImageOptions())
    assert isinstance(stored, NormalizedImage)
    assert found == orientation
    assert (stored.width, stored.height) == ((24, 16) if orientation < 5 else (16, 24))
    assert ("exif-rotated" in stored.changes) == (orientation != 1)


@pytest.mark.parametrize(
    "bomb",
    [
        "jpeg, exif: overlapping tags",
        "jpeg, exif: identifier again and again",
        "png: text bomb",
    ],
)
def test_image_with_costly_metadata_is_stored_without_it(bomb: str) -> None:
    stored = normalize_image(make.bombs(60_000)[bomb], ImageOptions())
    assert isinstance(stored, NormalizedImage)
    assert stored.changes == ("costly-metadata",)
    assert len(stored.encoded) < 2000


def test_jpeg_with_many_scans_is_rejected() -> None:
    for data in (make.many_scans(9000, progressive=True), make.hidden_scans(9000)):
        for check in ("decode", "header"):
            rejection = normalize_image(data, ImageOptions(check=check))
            assert isinstance(rejection, Rejection)
            assert rejection.reason in {"unsupported", "corrupt"}
    rejection = normalize_image(make.many_scans(9000, progressive=False), ImageOptions())
    assert isinstance(rejection, Rejection)
