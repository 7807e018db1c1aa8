"""`--store mixed`: a part of the images is stored as raw samples, and the others as files."""

from __future__ import annotations

from io import BytesIO

import pytest
from msgspec import UNSET
from PIL import Image

from records.errors import UsageError
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, decode_record_image, normalize_image
from tests.datasets import encode_picture

SIZE = (6, 5)


def store(data: bytes, raw_share: float, **options: object) -> NormalizedImage:
    images = ImageOptions(resize=SIZE, store="mixed", raw_share=raw_share, **options)  # type: ignore[arg-type]
    stored = normalize_image(data, images)
    assert isinstance(stored, NormalizedImage)
    return stored


@pytest.mark.parametrize("raw_share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_mixed_stores_share_as_raw_and_others_as_source(raw_share: float, kind: str) -> None:
    pictures = [encode_picture(seed, kind=kind) for seed in range(300)]
    stored = [store(picture, raw_share) for picture in pictures]
    raw = sum(image.format == "raw" for image in stored)
    assert abs(raw / 300 - raw_share) < 0.1
    for picture, image in zip(pictures, stored, strict=True):
        name = "raw" if image.format == "raw" else "source"
        alone = normalize_image(picture, ImageOptions(resize=SIZE, store=name))  # type: ignore[arg-type]
        assert image == alone
        assert store(picture, raw_share) == image


def test_mixed_larger_share_keeps_raw_images_raw() -> None:
    pictures = [encode_picture(seed) for seed in range(100)]
    formats = [[store(each, share).format for each in pictures] for share in (0.2, 0.6)]
    for fewer, more in zip(*formats, strict=True):
        assert more == "raw" or fewer != "raw"


@pytest.mark.parametrize("begin", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("channels", [1, 3])
def test_mixed_samples_that_begin_as_file_are_stored_as_file(begin: bytes, channels: int) -> None:
    samples = begin.ljust(SIZE[0] * SIZE[1] * channels, b"\7")
    content = BytesIO()
    picture = Image.frombytes("L" if channels == 1 else "RGB", SIZE, samples)
    picture.save(content, "PNG")
    stored = store(content.getvalue(), 1 - 1e-12, channels=channels)
    assert stored.format == "png"
    pixels = decode_record_image(stored.encoded, "png", *SIZE, channels)
    assert pixels.tobytes() == samples


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "mixed", "raw_share": 0.5}, "needs a size"),
        ({"store": "mixed", "resize": SIZE}, "out of range"),
        ({"store": "mixed", "resize": SIZE, "raw_share": 0.0}, "out of range"),
        ({"store": "mixed", "resize": SIZE, "raw_share": 1.0}, "out of range"),
        ({"store": "mixed", "resize": SIZE, "raw_share": float("nan")}, "out of range"),
        ({"store": "raw", "resize": SIZE, "raw_share": 0.5}, "only with --store mixed"),
        ({"raw_share": 0.5}, "only with --store mixed"),
    ],
)
def test_mixed_invalid_options_are_usage_errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ImageOptions(**options).validate()  # type: ignore[arg-type]


def test_mixed_prediction_uses_raw_samples() -> None:
    images = ImageOptions(resize=SIZE, store="mixed", raw_share=0.5, check="header")
    assert images.for_prediction == ImageOptions(resize=SIZE, store="raw", raw_share=UNSET)
