"""TIFF files with CCITT (fax) or JPEG data, whole, cut, and smaller than the picture."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from records.images import ImageOptions, NormalizedImage, Rejection, normalize_image
from records.images.tiff import undefined_rows

_CODINGS = [
    ("tiff_ccitt", {}),
    *(("group3", {292: options}) for options in (0, 1, 4, 5)),
    ("group4", {}),
]
_SIZES = [(1, 1), (37, 23), (64, 64), (300, 200)]


def _draw(width_px: int, height_px: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 2, (height_px // 3 + 1, width_px // 3 + 1), bool)
    return Image.fromarray(noise.repeat(3, 0).repeat(3, 1)[:height_px, :width_px])


def _encode(picture: Image.Image, coding: str, tags: dict[int, int]) -> bytes:
    stream = BytesIO()
    picture.save(stream, "TIFF", compression=coding, tiffinfo=tags)
    return stream.getvalue()


def _parts(data: bytes) -> tuple[list[bytes], Any]:
    with Image.open(BytesIO(data)) as opened:
        tags = opened.tag_v2  # type: ignore[attr-defined] # the format is TIFF
    places = zip(tags[273], tags[279], strict=True)
    return [data[offset : offset + count] for offset, count in places], tags


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("rows", [None, 7, 16])
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize(("coding", "tags"), _CODINGS)
def test_normalize_image_whole_fax_data_is_stored_with_its_pixels(
    coding: str, tags: dict[int, int], size: tuple[int, int], rows: int | None, order: int
) -> None:
    picture = _draw(*size)
    extra = {266: order} | ({278: rows} if rows else {})
    result = normalize_image(_encode(picture, coding, tags | extra), ImageOptions())
    assert isinstance(result, NormalizedImage)
    stored = np.asarray(Image.open(BytesIO(result.encoded)).convert("L"))
    np.testing.assert_array_equal(stored, np.asarray(picture.convert("L")))


@pytest.mark.parametrize("rows", [7, 16, 200])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("size", _SIZES[1:])
def test_normalize_image_group_4_data_that_ends_early_has_one_result(
    size: tuple[int, int], kept: float, rows: int
) -> None:
    data = bytearray(_encode(_draw(*size), "group4", {278: rows}))
    _, tags = _parts(bytes(data))
    start = tags[273][-1] + int(kept * tags[279][-1])
    data[start : tags[273][-1] + tags[279][-1]] = bytes(tags[273][-1] + tags[279][-1] - start)
    results = [normalize_image(bytes(data), ImageOptions()) for _ in range(3)]
    assert results[1:] == results[:2]
    if kept < 0.9 and rows == 200:  # otherwise the damage may lie in the last row alone
        assert isinstance(results[0], Rejection)
        assert results[0].reason == "truncated"


def test_normalize_image_tiles_of_group_4_are_stored_or_truncated() -> None:
    tile = _draw(64, 32)
    (part,), _ = _parts(_encode(tile, "group4", {278: 32}))
    for damaged, parts in ((False, [part] * 4), (True, [part, part, part[: len(part) // 2], part])):
        starts = [8 + sum(map(len, parts[:number])) for number in range(4)]
        fields: dict[int, tuple[int, ...]] = {
            256: (128,),
            257: (64,),
            258: (1,),
            259: (4,),
            262: (1,),
            322: (64,),
            323: (32,),
        }
        fields |= {324: tuple(starts), 325: tuple(map(len, parts))}
        result = normalize_image(undefined_rows.write_tiff(b"".join(parts), fields), ImageOptions())
        assert isinstance(result, Rejection if damaged else NormalizedImage), result


@pytest.mark.parametrize("rows", [None, 8, 16])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_normalize_image_whole_jpeg_data_in_tiff_is_stored(mode: str, rows: int | None) -> None:
    picture = Image.linear_gradient("L").resize((37, 23)).convert(mode)
    data = _encode(picture, "jpeg", {278: rows} if rows else {})
    assert isinstance(normalize_image(data, ImageOptions()), NormalizedImage)


@pytest.mark.parametrize("tag", [256, 257])
@pytest.mark.parametrize("more", [1, 9, 2048])
@pytest.mark.parametrize("rows", [None, 8])
def test_normalize_image_jpeg_data_smaller_than_the_tiff_is_rejected(
    tag: int, more: int, rows: int | None
) -> None:
    picture = Image.linear_gradient("L").resize((37, 23)).convert("RGB")
    data = bytearray(_encode(picture, "jpeg", {278: rows} if rows else {}))
    directory_at = int.from_bytes(data[4:8], "little")
    for entry in range(int.from_bytes(data[directory_at : directory_at + 2], "little")):
        at = directory_at + 2 + 12 * entry
        if int.from_bytes(data[at : at + 2], "little") == tag:
            value = int.from_bytes(data[at + 8 : at + 10], "little") + more
            data[at + 8 : at + 10] = value.to_bytes(2, "little")
    results = [normalize_image(bytes(data), ImageOptions()) for _ in range(2)]
    assert all(isinstance(result, Rejection) for result in results), results
