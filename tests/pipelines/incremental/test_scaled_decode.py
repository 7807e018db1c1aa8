"""Tests that all generations of a dataset decode large JPEG files in the same way."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pipelines.options import ConvertOptions
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


@pytest.fixture
def jpegs(source: Path) -> dict[str, bytes]:
    """Return large JPEG files, which are part of the source."""
    files = {f"cat/large-{number}.jpg": make_jpeg(number) for number in range(3)}
    for key, data in files.items():
        make_file(source, key, data)
    return files


def stored_images(output: Path) -> dict[str, bytes]:
    dataset = open_dataset(output)
    return {record.key: record.image for records in dataset.values() for record in records}


def has_setting(output: Path) -> bool:
    images = json.loads((output / layout.MANIFEST).read_bytes())["settings"]["images"]
    return "scaled_decode" in images


def test_convert_with_resize_records_that_jpeg_is_decoded_at_a_scale(
    convert: Convert, output: Path, jpegs: dict[str, bytes]
) -> None:
    convert(images=RESIZED)
    assert has_setting(output)
    stored = stored_images(output)
    for key, data in jpegs.items():
        assert stored[key] == as_stored(data, SCALED) != as_stored(data, RESIZED)


def test_convert_without_resize_has_the_manifest_of_earlier_versions(
    convert: Convert, output: Path, jpegs: dict[str, bytes]
) -> None:
    convert()
    assert not has_setting(output)
    assert stored_images(output).items() >= jpegs.items()


@pytest.mark.parametrize("given", [ImageOptions(), RESIZED])
def test_append_to_dataset_of_earlier_version_decodes_as_that_version(
    convert: Convert,
    source: Path,
    output: Path,
    jpegs: dict[str, bytes],
    given: ImageOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    current = ConvertOptions.settings

    def earlier(options: ConvertOptions) -> Settings:
        return msgspec.structs.replace(current(options), images=options.images)

    with monkeypatch.context() as patch:
        patch.setattr(ConvertOptions, "settings", earlier)
        convert(images=RESIZED)
    assert not has_setting(output)
    added = {"dog/new.jpg": make_jpeg(9)}
    make_file(source, "dog/new.jpg", added["dog/new.jpg"])
    assert convert(images=given, append=True).generation == 2
    assert not has_setting(output)
    stored = stored_images(output)
    for key, data in (jpegs | added).items():
        assert stored[key] == as_stored(data, RESIZED)


def test_append_to_dataset_decodes_as_its_first_generation(
    convert: Convert, source: Path, output: Path, jpegs: dict[str, bytes]
) -> None:
    convert(images=RESIZED)
    data = make_jpeg(9)
    make_file(source, "dog/new.jpg", data)
    assert convert(append=True).generation == 2
    assert stored_images(output)["dog/new.jpg"] == as_stored(data, SCALED)
    assert len(jpegs) + 1 <= len(stored_images(output))
