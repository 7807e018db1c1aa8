"""Mutated image files: no exception, and equal pixels from every decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from records.images import (
    ImageOptions,
    NormalizedImage,
    Rejection,
    decode_record_image,
    normalize_image,
)
from records.images.decode import load_image, verify_decodable
from records.images.decoder_errors import rejection_from_error
from records.images.header import ImageHeader, read_header

KINDS = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {}),
    "tiff": ("TIFF", {}),
}
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HEADS = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM", b""]
EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4
)


def mutate(data: bytes, edits: list[tuple[float, int]], keep: float) -> bytes:
    """Return the first part of `data` with some bytes replaced."""
    changed = bytearray(data[: max(1, round(keep * len(data)))])
    for place, value in edits:
        changed[int(place * len(changed))] = value
    return bytes(changed)


@pytest.fixture(params=KINDS)
def file(request: Any, picture: Any, encode: Any) -> bytes:
    kind, options = KINDS[request.param]
    data: bytes = encode(picture, kind, **options)
    return data


@given(edits=EDITS, keep=st.one_of(st.just(1.0), st.floats(0.5, 1)))
@MANY
def test_verify_decodable_mutated_file_rejects_for_same_reason_as_full_decode(
    file: bytes, edits: Any, keep: float
) -> None:
    data = mutate(file, edits, keep)
    assert _refusal(verify_decodable, data) == _refusal(load_image, data)


def _refusal(load: Callable[[ImageHeader, bytes], object], data: bytes) -> Rejection | None:
    try:
        load(read_header(data, ImageOptions().max_pixels), data)
    except Exception as error:
        return rejection_from_error(error, data)
    return None


@given(edits=EDITS, keep=st.one_of(st.just(1.0), st.floats(0, 1)))
@MANY
def test_normalize_image_mutated_file_is_rejected_or_decodes_in_tensorflow(
    file: bytes, read_with_tensorflow: Any, edits: Any, keep: float
) -> None:
    stored = normalize_image(mutate(file, edits, keep), ImageOptions())
    if isinstance(stored, Rejection):
        assert stored.reason in {"empty", "truncated", "corrupt", "unsupported", "too-large"}
        assert stored.detail.isprintable()
        return
    ours = decode_record_image(
        stored.encoded, stored.format, stored.width, stored.height, stored.channels
    )
    np.testing.assert_array_equal(read_with_tensorflow(stored), ours)


@given(head=st.sampled_from(HEADS), tail=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_normalize_image_random_bytes_raise_no_exception(head: bytes, tail: bytes) -> None:
    assert isinstance(normalize_image(head + tail, ImageOptions()), NormalizedImage | Rejection)
