"""Normalized images of every kind of source, and their pixels in TensorFlow."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
import pytest
from PIL import Image

from records.errors import CorruptDataError
from records.images import (
    ImageOptions,
    Rejection,
    decode_pixels,
    decode_record_image,
    encoder_versions,
    normalize_image,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = ImageOptions()
SIZE = (48, 32)


def grey_ramp(dtype: str, step: int) -> Image.Image:
    """Return a 48 × 32 grey image whose samples grow by `step` from left to right."""
    return Image.fromarray(np.tile(np.arange(48) * step, (32, 1)).astype(dtype))


def with_alpha(picture: Image.Image) -> Image.Image:
    """Return the image with a transparent left half."""
    alpha = Image.new("L", SIZE, 255)
    alpha.paste(0, (0, 0, 24, 32))
    image = picture.copy()
    image.putalpha(alpha)
    return image


def insert_chunk(png: bytes, kind: bytes, payload: bytes) -> bytes:
    """Return the PNG with a chunk after its header."""
    body = kind + payload
    chunk = struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))
    return png[:33] + chunk + png[33:]


# A name, the source image, its format and Pillow's options, and the expected stored image.
SOURCES: list[tuple[str, Callable[[Image.Image], Image.Image], str, dict[str, Any], Any]] = [
    ("jpeg", lambda p: p, "JPEG", {}, ("jpeg", 3, ())),
    ("jpeg-444", lambda p: p, "JPEG", {"subsampling": 0}, ("jpeg", 3, ())),
    ("jpeg-grey", lambda p: p.convert("L"), "JPEG", {}, ("jpeg", 1, ())),
    ("jpeg-progressive", lambda p: p, "JPEG", {"progressive": True}, ("jpeg", 3, ())),
    ("jpeg-rgb-coded", lambda p: p, "JPEG", {"keep_rgb": True}, ("jpeg", 3, ())),
    ("jpeg-restarts", lambda p: p, "JPEG", {"restart_marker_rows": 1}, ("jpeg", 3, ())),
    ("jpeg-cmyk", lambda p: p.convert("CMYK"), "JPEG", {}, ("jpeg", 3, ("cmyk→rgb",))),
    ("mpo", lambda p: p, "MPO", {"save_all": True}, ("jpeg", 3, ())),
    ("png", lambda p: p, "PNG", {}, ("png", 3, ())),
    ("png-grey", lambda p: p.convert("L"), "PNG", {}, ("png", 1, ())),
    ("png-1-bit", lambda p: p.convert("1"), "PNG", {}, ("png", 1, ())),
    ("png-palette", lambda p: p.quantize(16), "PNG", {}, ("png", 3, ("palette→rgb",))),
    ("png-alpha", with_alpha, "PNG", {}, ("png", 3, ("alpha→rgb",))),
    ("png-grey-alpha", lambda p: with_alpha(p).convert("LA"), "PNG", {},
     ("png", 1, ("alpha→grey",))),
    ("png-16", lambda _: grey_ramp("<u2", 1300), "PNG", {}, ("png", 1, ("16→8-bit",))),
    ("png-trns", lambda p: p, "PNG", {"transparency": (0, 0, 255)}, ("png", 3, ("alpha→rgb",))),
    ("png-grey-trns", lambda _: grey_ramp("u1", 5), "PNG", {"transparency": 10},
     ("png", 1, ("alpha→grey",))),
    ("png-16-trns", lambda _: grey_ramp("<u2", 1300), "PNG", {"transparency": 2600},
     ("png", 1, ("16→8-bit", "alpha→grey"))),
    ("png-palette-trns", lambda p: p.quantize(16), "PNG", {"transparency": 3},
     ("png", 3, ("palette→rgb", "alpha→rgb"))),
    ("gif", lambda p: p, "GIF", {}, ("png", 3, ("palette→rgb", "gif→png"))),
    ("gif-grey", lambda p: p.convert("L"), "GIF", {}, ("png", 3, ("palette→rgb", "gif→png"))),
    ("bmp", lambda p: p, "BMP", {}, ("png", 3, ("bmp→png",))),
    ("bmp-1-bit", lambda p: p.convert("1"), "BMP", {}, ("png", 1, ("bmp→png",))),
    ("webp", lambda p: p, "WEBP", {"lossless": True}, ("png", 3, ("webp→png",))),
    ("webp-alpha", with_alpha, "WEBP", {"lossless": True, "exact": True},
     ("png", 3, ("alpha→rgb", "webp→png"))),
    ("tiff", lambda p: p, "TIFF", {}, ("png", 3, ("tiff→png",))),
    ("tiff-lzw", lambda p: p, "TIFF", {"compression": "tiff_lzw"}, ("png", 3, ("tiff→png",))),
    ("tiff-16", lambda _: grey_ramp("<u2", 1300), "TIFF", {}, ("png", 1, ("16→8-bit", "tiff→png"))),
    ("tiff-16-big", lambda _: grey_ramp(">u2", 1300), "TIFF", {},
     ("png", 1, ("16→8-bit", "tiff→png"))),
    ("tiff-cmyk", lambda p: p.convert("CMYK"), "TIFF", {}, ("png", 3, ("cmyk→rgb", "tiff→png"))),
    ("tiff-jpeg", lambda p: p, "TIFF", {"compression": "jpeg"}, ("png", 3, ("tiff→png",))),
    ("tiff-palette-alpha", lambda p: with_alpha(p.quantize(16)), "TIFF", {},
     ("png", 3, ("palette→rgb", "alpha→rgb", "tiff→png"))),
    ("tiff-alpha", with_alpha, "TIFF", {}, ("png", 3, ("alpha→rgb", "tiff→png"))),
    ("avif", lambda p: p, "AVIF", {}, ("png", 3, ("avif→png",))),
]  # fmt: skip

# The rest needs a background or a shift, and is tested apart.
OPAQUE = [source for source in SOURCES if not {"alpha", "trns", "16"} & set(source[0].split("-"))]


@pytest.fixture(params=SOURCES, ids=[source[0] for source in SOURCES])
def source(request: pytest.FixtureRequest, picture: Image.Image, encode: Any) -> tuple[bytes, Any]:
    _, make, kind, options, expected = request.param
    return encode(make(picture), kind, **options), expected


@pytest.mark.parametrize("check", ["decode", "header"])
def test_normalize_image_each_source_kind_gives_expected_format_and_changes(
    source: Any, check: Any, store: Any
) -> None:
    data, (kind, channels, changes) = source
    stored = store(data, ImageOptions(check=check))
    assert (stored.format, stored.channels, stored.changes) == (kind, channels, changes)
    assert (stored.width, stored.height) == SIZE
    assert (stored.encoded == data) is (changes == ())


def test_stored_image_decodes_in_tensorflow_to_same_pixels_as_pillow(
    source: Any, store: Any, read_with_tensorflow: Any
) -> None:
    stored = store(source[0], PLAIN)
    shape = stored.height, stored.width, stored.channels
    ours = decode_record_image(stored.encoded, stored.format, *SIZE, stored.channels)
    seen = read_with_tensorflow(stored)
    assert seen.shape == shape
    np.testing.assert_array_equal(seen, ours)
    close_px = 12 if stored.format == "jpeg" and stored.changes else 0
    np.testing.assert_allclose(decode_pixels(source[0], PLAIN), ours.astype(int), atol=close_px)


@pytest.mark.parametrize("source", OPAQUE, indirect=True, ids=[source[0] for source in OPAQUE])
def test_decode_pixels_opaque_source_equals_pillow_convert(source: Any) -> None:
    image = Image.open(BytesIO(source[0]))
    mode = "L" if source[1][1] == 1 else "RGB"
    expected = np.asarray(image.convert(mode)).reshape(SIZE[1], SIZE[0], -1)
    np.testing.assert_array_equal(decode_pixels(source[0], PLAIN), expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_decode_pixels_transparent_pixels_take_background_colour(
    picture: Any, encode: Any, kind: str
) -> None:
    data = encode(with_alpha(picture), kind, lossless=True)
    pixels = decode_pixels(data, ImageOptions(background="FF8000"))
    assert (pixels[:, :24] == (255, 128, 0)).all()
    np.testing.assert_array_equal(pixels[:, 24:], np.asarray(picture)[:, 24:])


def test_decode_pixels_half_transparent_pixels_are_blended(encode: Any) -> None:
    data = encode(Image.new("RGBA", (2, 2), (200, 100, 0, 128)), "PNG")
    expected = [round(c * 128 / 255 + 255 * 127 / 255) for c in (200, 100, 0)]
    np.testing.assert_allclose(decode_pixels(data, PLAIN)[0, 0].astype(int), expected, atol=1)


def test_normalize_image_grey_alpha_on_coloured_background_becomes_rgb(
    encode: Any, store: Any
) -> None:
    data = encode(Image.new("LA", (4, 4), (7, 0)), "PNG")
    stored = store(data, ImageOptions(background="FF0000"))
    assert (stored.channels, stored.changes) == (3, ("alpha→rgb", "fully-transparent"))
    assert store(data, ImageOptions(background="FF0000", channels=1)).channels == 1


def test_decode_pixels_16_bit_samples_are_shifted_to_8_bits(encode: Any) -> None:
    samples = np.array([[0, 255, 256, 4095, 65535]], "<u2")
    data = encode(Image.fromarray(samples), "PNG")
    np.testing.assert_array_equal(decode_pixels(data, PLAIN)[0, :, 0], [0, 0, 1, 15, 255])


def test_decode_pixels_16_bit_transparent_grey_matches_exact_sample(encode: Any) -> None:
    # 2600 and 2601 are the same in 8 bits; only the first is the transparent one.
    data = encode(Image.fromarray(np.array([[2600, 2601]], "<u2")), "PNG", transparency=2600)
    np.testing.assert_array_equal(decode_pixels(data, PLAIN)[0, :, 0], [255, 10])


def test_decode_pixels_2_bit_transparent_grey_matches_unscaled_sample() -> None:
    # Pillow compares the unspread sample with the spread ones, and shows nothing transparent.
    rows = b"\0" + bytes([0b00011011])
    png = b"\x89PNG\r\n\x1a\n"
    for kind, payload in (
        (b"IHDR", struct.pack(">IIBBBBB", 4, 1, 2, 0, 0, 0, 0)),
        (b"tRNS", b"\0\1"),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        png += struct.pack(">I", len(payload)) + kind + payload
        png += struct.pack(">I", zlib.crc32(kind + payload))
    np.testing.assert_array_equal(decode_pixels(png, PLAIN)[0, :, 0], [0, 255, 170, 255])
    assert decode_pixels(png, ImageOptions(background="101010"))[0, 1, 0] == 0x10


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_normalize_image_exif_orientation_is_applied(
    picture: Any, encode: Any, store: Any, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {"quality": 100}
    data = encode(picture, kind, exif=exif, **({} if kind in {"PNG", "TIFF"} else lossless))
    stored = store(data, PLAIN)
    upright = TURNED[orientation](np.asarray(picture))
    assert (stored.height, stored.width) == upright.shape[:2]
    assert ("exif-rotated" in stored.changes) is (orientation != 1)
    close = 12 if kind in {"JPEG", "AVIF"} else 0
    seen = decode_record_image(stored.encoded, stored.format, stored.width, stored.height, 3)
    np.testing.assert_allclose(seen, upright.astype(int), atol=close)


def test_normalize_image_xmp_orientation_is_applied(picture: Any, encode: Any, store: Any) -> None:
    text = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'
    stored = store(insert_chunk(encode(picture, "PNG"), b"iTXt", text), PLAIN)
    assert (stored.width, stored.height, stored.changes) == (32, 48, ("exif-rotated",))


def test_normalize_image_unreadable_exif_keeps_source_bytes(
    picture: Any, encode: Any, store: Any
) -> None:
    data = encode(picture, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xffgarbage")
    assert store(data, PLAIN).encoded == data


def test_normalize_image_multi_frame_file_stores_first_frame(
    picture: Any, encode: Any, store: Any
) -> None:
    other = Image.new("RGB", SIZE, "red")
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(picture, kind, save_all=True, append_images=[other], **options)
        stored = store(data, PLAIN)
        assert "first-frame" in stored.changes
        np.testing.assert_array_equal(
            decode_pixels(data, PLAIN), decode_record_image(stored.encoded, "png", *SIZE, 3)
        )
        assert not (decode_pixels(data, PLAIN) == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ImageOptions(store="png"), ("png", 3, ("jpeg→png",))),
        (ImageOptions(store="jpeg"), ("jpeg", 3, ())),
        (ImageOptions(channels=1), ("jpeg", 1, ("rgb→grey",))),
        (ImageOptions(resize=(20, 10)), ("jpeg", 3, ("resized",))),
        (ImageOptions(resize=SIZE), ("jpeg", 3, ())),
        (ImageOptions(resize=(8, 8), store="raw"), ("raw", 3, ("resized", "jpeg→raw"))),
        (
            ImageOptions(resize=(8, 8), store="raw", channels=1),
            ("raw", 1, ("rgb→grey", "resized", "jpeg→raw")),
        ),
    ],
)
def test_normalize_image_options_determine_format_channels_and_changes(
    picture: Any, encode: Any, store: Any, options: ImageOptions, expected: Any
) -> None:
    stored = store(encode(picture, "JPEG"), options)
    assert (stored.format, stored.channels, stored.changes) == expected
    width, height = options.resize or SIZE
    seen = decode_record_image(stored.encoded, stored.format, width, height, stored.channels)
    assert seen.shape == (stored.height, stored.width, stored.channels)


def test_normalize_image_grey_stored_as_raw_becomes_rgb(
    picture: Any, encode: Any, store: Any
) -> None:
    options = ImageOptions(store="raw", resize=SIZE)
    stored = store(encode(picture.convert("L"), "PNG"), options)
    assert (len(stored.encoded), stored.changes) == (48 * 32 * 3, ("grey→rgb", "png→raw"))


def test_normalize_image_encoded_jpeg_uses_quality_without_subsampling(
    picture: Any, encode: Any, store: Any
) -> None:
    data = encode(picture, "PNG")
    low, high = (store(data, ImageOptions(store="jpeg", jpeg_quality=q)) for q in (30, 95))
    assert len(low.encoded) < len(high.encoded)
    image: Any = Image.open(BytesIO(high.encoded))
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def test_normalize_image_reencoding_drops_metadata(picture: Any, encode: Any, store: Any) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a secret"
    data = encode(picture, "JPEG", exif=exif, comment="a secret", icc_profile=b"a secret")
    assert b"secret" in data
    for kind in ("source", "png"):
        assert b"secret" not in store(data, ImageOptions(store=kind)).encoded


def test_normalize_image_progressive_jpeg_with_missing_scans_is_reencoded(
    picture: Any, encode: Any, store: Any, read_with_tensorflow: Any
) -> None:
    # Pillow and TensorFlow fill in missing scans in different ways.
    data = encode(picture, "JPEG", progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    stored = store(data[:last_scan] + b"\xff\xd9", PLAIN)
    assert stored.changes == ("incomplete-scans",)
    ours = decode_record_image(stored.encoded, "jpeg", *SIZE, 3)
    np.testing.assert_array_equal(read_with_tensorflow(stored), ours)


def test_normalize_image_trailing_bytes_are_kept(picture: Any, encode: Any, store: Any) -> None:
    for kind in ("JPEG", "PNG"):
        data = encode(picture, kind) + b"trailing"
        assert store(data, PLAIN).encoded == data


def test_normalize_image_repeated_call_is_deterministic(source: Any) -> None:
    assert normalize_image(source[0], PLAIN) == normalize_image(source[0], PLAIN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 47}, "size of an image differs"),
        ({"channels": 1}, "size of an image differs"),
        ({"format": "jpeg"}, "differs from the format in its record"),
        ({"format": "bmp"}, "differs from the format in its record"),
        ({"format": "raw"}, "wrong size"),
        ({"encoded": b""}, "differs from the format in its record"),
    ],
)
def test_decode_record_image_header_mismatch_raises_corrupt_data(
    picture: Any, encode: Any, change: dict[str, Any], message: str
) -> None:
    record = {
        "encoded": encode(picture, "PNG"), "format": "png", "width": 48, "height": 32, "channels": 3
    }  # fmt: skip
    assert decode_record_image(**record).shape == (32, 48, 3)
    with pytest.raises(CorruptDataError, match=message):
        decode_record_image(**(record | change))


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA"])
def test_decode_record_image_neither_grey_nor_rgb_raises_corrupt_data(
    picture: Any, encode: Any, mode: str
) -> None:
    data = encode(picture.convert(mode), "PNG")
    with pytest.raises(CorruptDataError, match="neither grey nor RGB"):
        decode_record_image(data, "png", 48, 32, len(mode))


def test_decode_record_image_truncated_raises_corrupt_data_with_reason(
    picture: Any, encode: Any
) -> None:
    with pytest.raises(CorruptDataError, match="image is truncated"):
        decode_record_image(encode(picture, "JPEG")[:-50], "jpeg", 48, 32, 3)


def test_decode_pixels_rejected_image_raises_corrupt_data_with_reason(
    picture: Any, encode: Any
) -> None:
    data = encode(picture, "PNG")[:-20]
    rejection = normalize_image(data, PLAIN)
    assert isinstance(rejection, Rejection)
    with pytest.raises(CorruptDataError, match=f"image is {rejection.reason}: {rejection.detail}"):
        decode_pixels(data, PLAIN)


def test_encoder_versions_include_pillow_jpeg_and_zlib_libraries() -> None:
    versions = encoder_versions()
    assert versions["pillow"] == PIL.__version__
    assert all(versions.values())
    assert {"libjpeg-turbo", "libjpeg"} & set(versions)
    assert {"zlib-ng", "zlib"} & set(versions)
