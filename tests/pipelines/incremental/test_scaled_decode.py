"""Tests that all generations of a dataset decode large JPEG files in the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.options import ConvertOptions
from pipelines.report import Report
from records import open_dataset
from records.format import layout
from records.format.manifest import Settings
from records.images import ImageOptions, NormalizedImage, normalize_image
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture

RESIZED = ImageOptions(resize=(8, 8))
SCALED = msgspec.structs.replace(RESIZED, scaled_decode=True)


def make_jpeg(seed: int) -> bytes:
    """Return a JPEG that is decoded at 1/4 of its size before it becomes 8×8."""
    return make_picture(seed, kind="JPEG", size=(70, 90))


def as_stored(data: bytes, options: ImageOptions) -> bytes:
    stored = normalize_image(data, options)
    assert isinstance(stored, NormalizedImage)
    return stored.encoded


@pytest.fixture(autouse=True)
def large_jpegs(source: Path) -> None:
    """Add large JPEG files to the source."""
    for number in range(3):
        make_file(source, f"cat/large-{number}.jpg", make_jpeg(number))


def check_stored(source: Path, output: Path, options: ImageOptions, *, jpegs: int) -> None:
    """Check the number of stored JPEG images, and that these options gave each of them."""
    dataset = open_dataset(output)
    stored = [record for records in dataset.values() for record in records]
    stored = [record for record in stored if record.format == "jpeg"]
    assert len(stored) == jpegs
    for record in stored:
        assert record.image == as_stored((source / record.key).read_bytes(), options)


def has_setting(output: Path) -> bool:
    images = json.loads((output / layout.MANIFEST).read_bytes())["settings"]["images"]
    return "scaled_decode" in images


@pytest.fixture
def convert_earlier(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> Convert:
    """Convert with the settings of earlier versions."""
    current = ConvertOptions.settings

    def earlier(options: ConvertOptions) -> Settings:
        return msgspec.structs.replace(current(options), images=options.images)

    def run(**options: Any) -> Report:
        with monkeypatch.context() as patch:
            patch.setattr(ConvertOptions, "settings", earlier)
            return convert(**options)

    return run


def test_scaled_decode_changes_the_stored_images() -> None:
    data = make_jpeg(0)
    assert as_stored(data, SCALED) != as_stored(data, RESIZED)


def test_convert_with_resize_records_that_jpeg_is_decoded_at_a_scale(
    convert: Convert, source: Path, output: Path
) -> None:
    convert(images=RESIZED)
    assert has_setting(output)
    check_stored(source, output, SCALED, jpegs=3)


def test_convert_without_resize_has_the_manifest_of_earlier_versions(
    convert: Convert, source: Path, output: Path
) -> None:
    convert()
    assert not has_setting(output)
    check_stored(source, output, ImageOptions(), jpegs=3)


@pytest.mark.parametrize("given", [ImageOptions(), RESIZED])
def test_append_to_dataset_of_earlier_version_decodes_as_that_version(
    convert: Convert, convert_earlier: Convert, source: Path, output: Path, given: ImageOptions
) -> None:
    convert_earlier(images=RESIZED)
    make_file(source, "dog/new.jpg", make_jpeg(9))
    assert convert(images=given, append=True).generation == 2
    assert not has_setting(output)
    check_stored(source, output, RESIZED, jpegs=4)


def test_append_to_dataset_decodes_as_its_first_generation(
    convert: Convert, source: Path, output: Path
) -> None:
    convert(images=RESIZED)
    make_file(source, "dog/new.jpg", make_jpeg(9))
    assert convert(append=True).generation == 2
    check_stored(source, output, SCALED, jpegs=4)
