"""Image formats from magic bytes."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from records.images import IMAGE_EXTENSIONS, sniff
from records.images.formats import describe_unknown

KNOWN = {
    "JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "WEBP": "webp",
    "TIFF": "tiff", "AVIF": "avif", "JPEG2000": "jpeg2000", "ICO": "ico", "ICNS": "icns",
    "PPM": "pnm", "PCX": "pcx", "SGI": "sgi", "TGA": "tga", "DDS": "dds", "EPS": "eps",
    "PDF": "pdf", "QOI": "qoi", "XBM": "xbm",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), KNOWN.items())
def test_formats_file_written_by_pillow_returns_its_format(kind: str, name: str) -> None:
    target = BytesIO()
    Image.new("1" if kind == "XBM" else "RGB", (32, 32), 1).save(target, kind)
    assert sniff(target.getvalue()[:32]) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "heif"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", None),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "raw"),
        (b"\xff\x0a\xfa\x7f", "jpegxl"),
        (b'<?xml version="1.0"?>\n<svg xmlns=', "svg"),
        (b'<?xml version="1.0"?>\n<html xmlns', None),
        (b"8BPS\0\1", "psd"),
        (b"SIMPLE  =                    T", "fits"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"BM is how this text begins, and no picture", None),
        (b"PK\3\4" + bytes(28), None),
        (b"#!/bin/sh\n# not an image at all, but text", None),
        (bytes(32), None),
        (b"", None),
    ],
)
def test_formats_magic_bytes_return_format_or_none(head: bytes, name: str | None) -> None:
    assert sniff(head) == name


@pytest.mark.parametrize(
    ("head", "shown"),
    [
        (b"<!DOCTYPE html><html>", '"<!DOCTYPE ht"'),
        (b"\0\1\2", "00 01 02"),
        (b"line\n", "6c 69 6e 65 0a"),
        ("é".encode(), "c3 a9"),
    ],
)
def test_describe_unknown_shows_text_as_text_and_other_bytes_as_numbers(
    head: bytes, shown: str
) -> None:
    assert describe_unknown(head) == f"not an image: begins with {shown}"


def test_image_extensions_are_lower_case_with_leading_dot() -> None:
    assert {".jpg", ".heic", ".tga", ".nef"} <= IMAGE_EXTENSIONS
    assert all(name.startswith(".") and name == name.lower() for name in IMAGE_EXTENSIONS)


def test_normalize_image_gif_content_is_stored_as_png(
    picture: Any, encode: Any, store: Any
) -> None:
    from records.images import ImageOptions

    assert store(encode(picture, "GIF"), ImageOptions()).changes[-1] == "gif→png"
