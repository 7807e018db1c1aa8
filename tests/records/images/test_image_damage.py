"""Each damage gives exactly one reason, in one printable line."""

from __future__ import annotations

import logging
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from records.images import ImageOptions, Rejection, normalize_image

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


def set_bytes(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    checksum = zlib.crc32(kind + payload)
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", checksum)


def change_payload(png: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return the PNG with one chunk's payload changed, and its checksum recomputed."""
    at = png.index(kind) - 4
    size = int.from_bytes(png[at : at + 4])
    return png[:at] + png_chunk(kind, change(png[at + 8 : at + 8 + size])) + png[at + 12 + size :]


def claim_size(jpeg: bytes, width: int, height: int) -> bytes:
    return set_bytes(jpeg, jpeg.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))


def wrong_crc(png: bytes, kind: bytes) -> bytes:
    at = png.index(kind)
    end = at + 4 + int.from_bytes(png[at - 4 : at])
    return set_bytes(png, end, bytes(255 - byte for byte in png[end : end + 4]))


# A name, the format and Pillow's options of the file, the damage, and the expected reason.
DAMAGES: list[tuple[str, str, dict[str, Any], Callable[[bytes], bytes], str]] = [
    ("nothing-left", "PNG", {}, lambda _: b"", "empty"),
    ("two-bytes-left", "JPEG", {}, lambda d: d[:2], "truncated"),
    ("jpeg-in-its-header", "JPEG", {}, lambda d: d[:100], "truncated"),
    ("jpeg-in-the-middle", "JPEG", {}, lambda d: d[: len(d) // 2], "truncated"),
    ("jpeg-without-end", "JPEG", {}, lambda d: d[:-2], "truncated"),
    ("jpeg-progressive-cut", "JPEG", {"progressive": True}, lambda d: d[:-30], "truncated"),
    ("jpeg-two-frames", "JPEG", {}, lambda d: d.replace(b"\xff\xc4", b"\xff\xc0", 1), "corrupt"),
    ("jpeg-no-frame", "JPEG", {}, lambda d: d.replace(b"\xff\xc0", b"\xff\xfe"), "corrupt"),
    ("jpeg-bad-length", "JPEG", {}, lambda d: set_bytes(d, 4, b"\0\1"), "corrupt"),
    ("jpeg-bad-marker", "JPEG", {}, lambda d: set_bytes(d, 3, b"\x25"), "corrupt"),
    ("jpeg-no-tables", "JPEG", {}, lambda d: d.replace(b"\xff\xdb", b"\xff\xfe"), "corrupt"),
    ("jpeg-no-pixels", "JPEG", {}, lambda d: claim_size(d, 0, 9), "corrupt"),
    ("jpeg-12-bit", "JPEG", {}, lambda d: set_bytes(d, d.index(b"\xff\xc0") + 4, b"\x0c"),
     "unsupported"),
    ("jpeg-lossless", "JPEG", {}, lambda d: d.replace(b"\xff\xc0", b"\xff\xc3"),
     "unsupported"),
    ("jpeg-huge", "JPEG", {}, lambda d: claim_size(d, 65_000, 65_000), "too-large"),
    ("first-bytes-zero", "JPEG", {}, lambda d: bytes(16) + d[16:], "corrupt"),
    ("png-in-its-header", "PNG", {}, lambda d: d[:30], "truncated"),
    ("png-in-the-middle", "PNG", {}, lambda d: d[: len(d) // 2], "truncated"),
    ("png-without-end", "PNG", {}, lambda d: d[:-12], "truncated"),
    ("png-end-cut", "PNG", {}, lambda d: d[:-1], "truncated"),
    ("png-header-crc", "PNG", {}, lambda d: wrong_crc(d, b"IHDR"), "corrupt"),
    ("png-data-crc", "PNG", {}, lambda d: wrong_crc(d, b"IDAT"), "corrupt"),
    ("png-text-crc", "PNG", {"dpi": (9, 9)}, lambda d: wrong_crc(d, b"pHYs"), "corrupt"),
    ("png-end-crc", "PNG", {}, lambda d: d[:-1] + b"\0", "corrupt"),
    ("png-bad-length", "PNG", {}, lambda d: set_bytes(d, 33, b"\x7f\0\0\0"), "corrupt"),
    ("png-critical-chunk", "PNG", {}, lambda d: d[:33] + png_chunk(b"ABCD", b"") + d[33:],
     "corrupt"),
    ("png-two-headers", "PNG", {}, lambda d: d[:33] + d[8:33] + d[33:], "corrupt"),
    ("png-no-data", "PNG", {}, lambda d: d[:33] + png_chunk(b"IEND", b""), "corrupt"),
    ("png-apple", "PNG", {}, lambda d: d[:8] + png_chunk(b"CgBI", b"\0\0\0\0") + d[8:],
     "unsupported"),
    ("png-colour-type", "PNG", {},
     lambda d: change_payload(d, b"IHDR", lambda h: set_bytes(h, 9, b"\5")), "corrupt"),
    ("png-bad-zlib", "PNG", {},
     lambda d: change_payload(d, b"IDAT", lambda z: b"\xff" * len(z)), "corrupt"),
    ("png-short-zlib", "PNG", {},
     lambda d: change_payload(d, b"IDAT", lambda z: z[: len(z) // 2]), "corrupt"),
    ("png-huge", "PNG", {},
     lambda d: change_payload(d, b"IHDR", lambda h: struct.pack(">II", 1 << 20, 1 << 20) + h[8:]),
     "too-large"),
    ("png-long", "PNG", {},
     lambda d: change_payload(d, b"IHDR", lambda h: struct.pack(">II", 1_000_001, 1) + h[8:]),
     "too-large"),
    ("gif-cut", "GIF", {}, lambda d: d[: len(d) // 2], "truncated"),
    ("gif-header", "GIF", {}, lambda d: d[:12], "truncated"),
    ("bmp-cut", "BMP", {}, lambda d: d[:-40], "truncated"),
    ("bmp-header", "BMP", {}, lambda d: d[:30], "truncated"),
    ("bmp-depth", "BMP", {}, lambda d: set_bytes(d, 28, b"\x07\0"), "unsupported"),
    ("webp-cut", "WEBP", {}, lambda d: d[:-20], "truncated"),
    ("webp-wrong", "WEBP", {"lossless": True}, lambda d: d[:21] + b"\xff" * (len(d) - 21),
     "corrupt"),
    ("tiff-no-directory", "TIFF", {}, lambda d: set_bytes(d, 4, b"\0\0\0\x7f"), "truncated"),
    ("tiff-cut", "TIFF", {}, lambda d: d[:-100], "truncated"),
    ("tiff-lzw-cut", "TIFF", {"compression": "tiff_lzw"}, lambda d: set_bytes(d, 4, b"\xff\xff"),
     "truncated"),
    ("avif-cut", "AVIF", {}, lambda d: d[:-20], "truncated"),
]  # fmt: skip

ONLY_A_DECODE_TELLS = {"png-short-zlib"}


@pytest.fixture(params=DAMAGES, ids=[damage[0] for damage in DAMAGES])
def damaged(request: Any, encode: Any) -> tuple[str, bytes, str]:
    name, kind, options, damage, reason = request.param
    return name, damage(encode(_photo(), kind, **options)), reason


@pytest.mark.parametrize("check", ["decode", "header"])
def test_normalize_image_damaged_file_is_rejected_with_its_reason(
    damaged: tuple[str, bytes, str], check: Any
) -> None:
    name, data, reason = damaged
    rejection = normalize_image(data, ImageOptions(check=check))
    if check == "header" and name in ONLY_A_DECODE_TELLS:
        assert not isinstance(rejection, Rejection)
        assert rejection.encoded == data
        return
    assert isinstance(rejection, Rejection), rejection
    assert rejection.reason == reason, rejection
    assert rejection.detail.isprintable()
    assert 0 < len(rejection.detail) <= 240


def _photo() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 40, (32, 48, 3))
    return Image.fromarray((np.arange(48)[None, :, None] * 4 + noise).astype(np.uint8))


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "eps"),
        (b"%PDF-1.4\n" + bytes(50), "pdf"),
        (b"\xd7\xcd\xc6\x9a" + bytes(50), "wmf"),
        (b"8BPS\0\1" + bytes(50), "psd"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), "extra heif of shardmill"),
    ],
)
def test_normalize_image_unsupported_format_is_rejected_with_hint(data: bytes, hint: str) -> None:
    rejection = normalize_image(data, ImageOptions())
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "unsupported"
    assert hint in rejection.detail


@pytest.mark.parametrize("dtype", ["<f4", "<i4"])
def test_normalize_image_float_or_int32_samples_are_unsupported(encode: Any, dtype: str) -> None:
    rejection = normalize_image(
        encode(Image.fromarray(np.ones((4, 4), dtype)), "TIFF"), ImageOptions()
    )
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "unsupported"


def test_normalize_image_max_pixels_limit_is_inclusive(picture: Any, encode: Any) -> None:
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"):
        data = encode(picture, kind)
        assert not isinstance(normalize_image(data, ImageOptions(max_pixels=48 * 32)), Rejection)
        rejection = normalize_image(data, ImageOptions(max_pixels=48 * 32 - 1))
        assert isinstance(rejection, Rejection)
        assert rejection.reason == "too-large"


def test_normalize_image_too_long_for_jpeg_is_rejected_as_too_large(encode: Any) -> None:
    data = encode(Image.new("L", (70_000, 1)), "PNG")
    rejection = normalize_image(data, ImageOptions(store="jpeg"))
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "too-large"


def test_normalize_image_memory_error_is_rejected_as_too_large(
    picture: Any, encode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("records.images.decode.open_image", fail)
    rejection = normalize_image(encode(picture, "PNG"), ImageOptions())
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "too-large"


def test_normalize_image_odd_files_print_no_output_or_warnings(
    tmp_path: Path, picture: Any, encode: Any
) -> None:
    odd = [
        encode(picture, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xffgarbage"),
        encode(picture, "TIFF")[:-9],
        encode(picture, "TIFF", compression="tiff_lzw")[:-9],
        encode(picture.quantize(), "PNG", transparency=bytes(9)),
        encode(Image.new("1", (10_000, 9_500)), "PNG"),
        encode(Image.new("1", (10_000, 9_500)), "TIFF", compression="group4"),
    ]
    for number, data in enumerate(odd):
        (tmp_path / f"{number}.bin").write_bytes(data)
    script = (
        "import sys; from pathlib import Path; from records.images import *\n"
        "for name in sys.argv[1:]: normalize_image(Path(name).read_bytes(), ImageOptions())"
    )
    command = [sys.executable, "-W", "always", "-c", script, *map(str, tmp_path.iterdir())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_normalize_image_warnings_are_errors_the_image_is_stored(picture: Any, encode: Any) -> None:
    data = encode(picture, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xffgarbage")
    expected = normalize_image(data, ImageOptions())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert normalize_image(data, ImageOptions()) == expected
        with pytest.raises(UserWarning, match="not from Pillow"):
            warnings.warn("not from Pillow", stacklevel=1)
    assert not isinstance(expected, Rejection)
    assert logging.getLogger("PIL").level == logging.NOTSET
