"""Files with several pictures, with transparency, or with colour metadata: what is stored."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from records.images import ImageOptions, NormalizedImage, decode_pixels, normalize_image

PLAIN = ImageOptions()


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def changes_of(data: bytes) -> tuple[str, ...]:
    stored = normalize_image(data, PLAIN)
    assert isinstance(stored, NormalizedImage), stored
    return stored.changes


def add_png_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    body = name + content
    chunk = struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    return png[:33] + chunk + png[33:]


def bmp_with_alpha(pixels: np.ndarray[Any, Any], masks: tuple[int, ...]) -> bytes:
    """Return a 32-bit BMP with a V4 header and bit masks; `pixels` has shape (height, width, 4)."""
    height, width, _ = pixels.shape
    info = struct.pack("<IiiHHIIiiII", 108, width, -height, 1, 32, 3, 0, 0, 0, 0, 0)
    info += struct.pack("<4I", *masks) + bytes(52)
    rows = pixels.astype(np.uint8).tobytes()
    return (
        b"BM" + struct.pack("<IHHI", 14 + len(info) + len(rows), 0, 0, 14 + len(info)) + info + rows
    )


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("png", "RGBA"), ("png", "LA"), ("png", "P"), ("webp", "RGBA"), ("gif", "RGBA"),
     ("tiff", "RGBA"), ("tiff", "LA"), ("tiff", "PA"), ("avif", "RGBA")],
)  # fmt: skip
def test_normalize_image_fully_transparent_picture_is_background_with_a_note(
    picture: Image.Image, kind: str, mode: str
) -> None:
    image = picture.quantize(8) if mode == "P" else picture.convert(mode)
    if mode != "P":
        image.putalpha(0)
    data = save(image, kind, **({"transparency": bytes(256)} if mode == "P" else {}))
    assert "fully-transparent" in changes_of(data)
    pixels = decode_pixels(data, ImageOptions(background="FF8000"))
    assert (pixels == (255, 128, 0)).all()


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
def test_normalize_image_one_visible_pixel_has_no_note(picture: Image.Image, kind: str) -> None:
    image = picture.convert("RGBA")
    image.putalpha(0)
    image.putpixel((47, 31), (1, 2, 3, 1))
    assert "fully-transparent" not in changes_of(save(image, kind))


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_normalize_image_note_of_transparency_does_not_depend_on_strips(
    picture: Image.Image, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from records.images import pixels

    monkeypatch.setattr(pixels, "STRIP_PX", 48 * 3)
    image = picture.convert("RGBA")
    image.putalpha(0)
    assert "fully-transparent" in changes_of(save(image, kind))
    image.putpixel((0, 31), (1, 2, 3, 255))
    assert "fully-transparent" not in changes_of(save(image, kind))


def test_decode_pixels_bmp_with_alpha_zero_everywhere_keeps_its_colours() -> None:
    colours = np.random.default_rng(3).integers(0, 256, (6, 9, 4))
    colours[:, :, 3] = 0
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    data = bmp_with_alpha(colours, masks)
    assert changes_of(data) == ("bmp→png",)
    np.testing.assert_array_equal(decode_pixels(data, PLAIN), colours[:, :, 2::-1])
    colours[0, 0, 3] = 255
    data = bmp_with_alpha(colours, masks)
    assert changes_of(data) == ("alpha→rgb", "bmp→png")
    assert (decode_pixels(data, PLAIN)[1:] == 255).all()


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff", "avif"])
def test_normalize_image_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("#400000", "#00ff00", "#0000ff")]
    data = save(frames[0], kind, save_all=True, append_images=frames[1:])
    assert "first-frame" in changes_of(data)
    np.testing.assert_allclose(decode_pixels(data, PLAIN).mean((0, 1)), (64, 0, 0), atol=3)


def test_normalize_image_mpo_is_stored_unchanged_and_tensorflow_reads_its_first_picture(
    picture: Image.Image, read_with_tensorflow: Any
) -> None:
    second = Image.new("RGB", (64, 64), "#00ff00")
    data = save(picture, "MPO", save_all=True, append_images=[second])
    stored = normalize_image(data, PLAIN)
    assert isinstance(stored, NormalizedImage)
    assert (stored.encoded, stored.changes) == (data, ())
    seen = read_with_tensorflow(stored)
    np.testing.assert_array_equal(seen, decode_pixels(data, PLAIN))
    np.testing.assert_allclose(seen.astype(int).mean(), np.asarray(picture).mean(), atol=3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"cHRM", struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)),
        (b"sRGB", b"\3"),
        (b"sBIT", b"\5\5\5"),
        (b"bKGD", bytes(6)),
    ],
)
def test_normalize_image_png_colour_chunk_changes_no_pixel(
    picture: Image.Image, read_with_tensorflow: Any, name: bytes, content: bytes
) -> None:
    data = add_png_chunk(save(picture, "PNG"), name, content)
    stored = normalize_image(data, PLAIN)
    assert isinstance(stored, NormalizedImage)
    np.testing.assert_array_equal(read_with_tensorflow(stored), np.asarray(picture))
    np.testing.assert_array_equal(decode_pixels(data, PLAIN), np.asarray(picture))


@pytest.mark.parametrize("channels", [1, 3])
def test_decode_pixels_png_of_16_bits_drops_the_low_byte_as_tensorflow(
    channels: int, read_with_tensorflow: Any
) -> None:
    import tensorflow as tf

    samples = np.random.default_rng(5).integers(0, 65536, (9, 7, channels))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", 7, 9, 16, {1: 0, 3: 2}[channels], 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(name + content))
        data += struct.pack(">I", len(content)) + name + content + crc
    np.testing.assert_array_equal(decode_pixels(data, PLAIN), samples >> 8)
    np.testing.assert_array_equal(tf.io.decode_png(data).numpy(), samples >> 8)


def test_decode_pixels_cmyk_jpeg_of_adobe_is_no_negative() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixels = decode_pixels(save(image, "JPEG", quality=100), PLAIN)
    np.testing.assert_allclose(pixels.astype(int).mean((0, 1)), (255, 0, 0), atol=4)
