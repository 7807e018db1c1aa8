"""The 630 test images of Pillow: no exception, equal pixels in TensorFlow."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from records.images import ImageOptions, Rejection, decode_record_image, normalize_image

if TYPE_CHECKING:
    from pathlib import Path

REASONS = {
    "truncated_jpeg.jpg": "truncated",
    "truncated_image.png": "truncated",
    "truncated_end_chunk.png": "truncated",
    "broken.png": "truncated",
    "bmp/b/shortfile.bmp": "truncated",
    "bmp/b/reallybig.bmp": "too-large",
    "decompression_bomb.gif": "too-large",
    "16bit.s.tif": "unsupported",
    "lab-red.tif": "unsupported",
    "hopper_webp.tif": "unsupported",
    "seek_too_large.tif": "corrupt",
}


@pytest.fixture(scope="module")
def odd_files(shared_data: Path) -> list[Path]:
    return sorted(path for path in (shared_data / "odd_images").rglob("*") if path.is_file())


def test_normalize_image_odd_files_decode_identically_in_tensorflow(
    odd_files: list[Path], read_with_tensorflow: Any
) -> None:
    kinds: Counter[str] = Counter()
    for path in odd_files:
        stored = normalize_image(path.read_bytes(), ImageOptions())
        if isinstance(stored, Rejection):
            kinds[stored.reason] += 1
            continue
        kinds["stored"] += 1
        ours = decode_record_image(
            stored.encoded, stored.format, stored.width, stored.height, stored.channels
        )
        np.testing.assert_array_equal(read_with_tensorflow(stored), ours, err_msg=str(path))
    assert kinds["stored"] > 400
    assert kinds["empty"] == 0


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_normalize_image_odd_file_is_rejected_with_its_reason(
    shared_data: Path, name: str, reason: str
) -> None:
    rejection = normalize_image((shared_data / "odd_images" / name).read_bytes(), ImageOptions())
    assert isinstance(rejection, Rejection)
    assert rejection.reason == reason
