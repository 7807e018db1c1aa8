"""Images are measured while they are normalized, with the numbers of their records."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from records.dataset import Record
from records.images import ImageOptions, Rejection, normalize_image
from records.images.decode import decode_reduced_jpeg
from records.images.formats import open_image
from records.images.header import read_header
from records.quality.measurement import ScoredImage, measure_record, normalize_and_score
from tests.records.quality.test_quality import encode, picture

LARGE = picture(0).resize((1100, 1040), Image.Resampling.BICUBIC)
FILES = {
    "jpeg": encode(picture(1), "JPEG"),
    "grey jpeg": encode(picture(2).convert("L"), "JPEG"),
    "large jpeg": encode(LARGE, "JPEG"),
    "png": encode(picture(3), "PNG"),
    "gif": encode(picture(4), "GIF"),
    "bmp": encode(picture(5).convert("L"), "BMP"),
}


def record_of(stored: ScoredImage) -> Record:
    size = stored.width, stored.height, stored.channels
    return Record(stored.encoded, (0,), ("a",), "a", stored.format, *size)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    "options",
    [
        ImageOptions(),
        ImageOptions(resize=(90, 70)),
        ImageOptions(store="jpeg", channels=1),
        ImageOptions(store="raw"),
    ],
)
def test_normalize_and_score_gives_the_image_and_the_measurements_of_its_record(
    kind: str, options: ImageOptions
) -> None:
    stored = normalize_and_score(FILES[kind], options)
    assert isinstance(stored, ScoredImage)
    measured = measure_record(record_of(stored))
    np.testing.assert_array_equal(stored.scores, [*measured.values()])  # NaN equals NaN
    plain = normalize_image(FILES[kind], options)
    assert msgspec.structs.asdict(stored) == {
        **msgspec.structs.asdict(plain),  # type: ignore[arg-type]
        "scores": stored.scores,
    }


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["jpeg", "grey jpeg", "png", "gif"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    keep=st.one_of(st.just(1.0), st.floats(0.5, 1)),
)
def test_normalize_and_score_mutated_file_is_rejected_as_without_measurements(
    kind: str, edits: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(FILES[kind][: round(keep * len(FILES[kind]))])
    for place, value in edits:
        data[int(place * len(data))] = value
    stored, expected = (
        normalize(bytes(data), ImageOptions())
        for normalize in (normalize_and_score, normalize_image)
    )
    if isinstance(stored, ScoredImage):
        assert not isinstance(expected, Rejection)
        assert stored.encoded == expected.encoded
    else:
        assert stored == expected


@pytest.mark.parametrize("size", [(511, 700), (1023, 1023), (1024, 1500), (2049, 4100)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_decode_reduced_jpeg_gives_the_pixels_of_the_draft_of_pillow(
    size: tuple[int, int], mode: str
) -> None:
    data = encode(LARGE.resize(size).convert(mode), "JPEG")
    header = read_header(data, 10**8)
    for wanted in ("L", "RGB"):
        drafted = open_image("jpeg", data).image
        drafted.draft(wanted, (512, 512))
        reduced = decode_reduced_jpeg(header, data, wanted, 512)
        np.testing.assert_array_equal(np.asarray(reduced), np.asarray(drafted))
