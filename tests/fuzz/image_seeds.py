"""Small valid image files of every format, to be mutated."""

from __future__ import annotations

import random
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from tests.fuzz.image_mutations import Part, join_png


def image_seeds() -> list[bytes]:
    """Return small valid files: the codings that cameras and programs write."""
    photo = _draw_photo()
    seeds = [
        _encode(image, "JPEG", quality=80, **options)
        for image in (photo, photo.convert("L"))
        for options in (
            {"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True},
            {"restart_marker_blocks": 1}, {"progressive": True, "restart_marker_rows": 1},
            {"optimize": True, "comment": b"a comment", "dpi": (72, 72)},
        )
    ]  # fmt: skip
    seeds.append(_encode(photo, "JPEG", keep_rgb=True))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = (
            photo.convert("L").convert("I").convert("I;16")
            if mode == "I;16"
            else photo.convert(mode)
        )
        seeds += [
            _encode(image, "PNG"),
            _encode(image, "PNG", dpi=(72, 72), icc_profile=b"profile"),
        ]
    seeds.append(_encode(photo.quantize(9), "PNG", bits=4, transparency=2))
    seeds += [_interlaced(kind, bits) for kind, bits in ((0, 1), (0, 2), (0, 8), (2, 8), (3, 4))]
    return seeds


def other_image_seeds() -> list[bytes]:
    """Return small valid files of the formats that are always encoded again."""
    photo, kinds = _draw_photo(), ("1", "L", "LA", "P", "RGB", "RGBA")
    modes = {kind: photo.convert(kind) for kind in kinds}
    deep = photo.convert("L").convert("I").convert("I;16")
    frames = [photo.rotate(angle) for angle in (10, 20)]
    seeds = [_encode(modes[kind], "BMP") for kind in ("1", "L", "P", "RGB", "RGBA")]
    seeds += [_encode(modes[kind], "GIF") for kind in ("1", "L", "P", "RGBA")]
    seeds.append(_encode(photo, "GIF", save_all=True, append_images=frames, comment=b"a comment"))
    seeds += [
        _encode(image, "TIFF", compression=compression)
        for image in (*modes.values(), deep, photo.convert("CMYK"), photo.convert("YCbCr"))
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
        if not (image.mode == "YCbCr" and compression != "raw")
    ]
    seeds.append(_encode(photo, "TIFF", compression="jpeg"))
    seeds.append(_encode(modes["1"], "TIFF", compression="group4"))
    seeds.append(_encode(photo, "TIFF", save_all=True, append_images=frames))
    for image in (photo, modes["RGBA"]):
        seeds += [
            _encode(image, "WEBP", quality=60),
            _encode(image, "WEBP", lossless=True, exif=_exif(), icc_profile=b"profile"),
            _encode(image, "AVIF", quality=60, exif=_exif()),
        ]
    seeds.append(_encode(photo, "WEBP", save_all=True, append_images=frames))
    seeds.append(_encode(photo, "AVIF", save_all=True, append_images=frames))
    return seeds


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def _draw_photo() -> Image.Image:
    across, down = np.meshgrid(np.arange(37) * 6, np.arange(23) * 9)
    noise = np.random.default_rng(0).integers(0, 30, (23, 37))
    return Image.fromarray(np.stack([across, down, 200 - noise], axis=2).astype(np.uint8))


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def _interlaced(colour_type: int, bits: int) -> bytes:
    """Return an interlaced PNG of noise, 13 × 9 px."""
    width, height, rows = 13, 9, bytearray()
    chance = random.Random(bits)
    for left, top, across, down in (
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):  # fmt: skip
        columns = len(range(left, width, across))
        row_bytes = (columns * bits * (3 if colour_type == 2 else 1) + 7) // 8
        for _ in range(top, height, down) if columns else ():
            rows += bytes([chance.randrange(5)]) + chance.randbytes(row_bytes)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 1)
    parts = [Part(b"IHDR", header), Part(b"IDAT", zlib.compress(bytes(rows))), Part(b"IEND")]
    if colour_type == 3:
        parts.insert(1, Part(b"PLTE", chance.randbytes(48)))
    return join_png(parts)
