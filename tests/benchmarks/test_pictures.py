"""Pictures to measure with: the requested number of distinct valid images."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.inputs.pictures import (
    COLLECTION_BYTES,
    collection,
    photos,
    small_images,
    stamp,
)
from benchmarks.suites.planning import paths


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_stamp_copies_have_distinct_bytes_and_same_pixels(kind: str) -> None:
    content = io.BytesIO()
    Image.linear_gradient("L").save(content, kind)
    original = content.getvalue()
    copies = {stamp(original, number) for number in range(3)}
    assert len(copies | {original}) == 4
    for copy in copies:
        with Image.open(io.BytesIO(copy)) as found, Image.open(io.BytesIO(original)) as expected:
            found.load()
            assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_small_images_without_shared_data_are_generated(tmp_path: Path) -> None:
    case = small_images(tmp_path / "nothing", tmp_path, 210)  # more than are generated
    files = [path for path in case.source.rglob("*") if path.is_file()]
    assert len({path.read_bytes() for path in files}) == len(files) == case.images == 210
    assert sum(path.stat().st_size for path in files) == case.bytes
    assert len(list(case.source.iterdir())) == 10


def test_photos_are_taken_from_every_class(shared_data: Path, tmp_path: Path) -> None:
    case = photos(shared_data, tmp_path, 21)
    assert {folder.name for folder in case.source.iterdir()} >= {"daisy", "tulip", "cats", "dogs"}


def test_collection_of_generated_images_has_their_number_and_mean_size(tmp_path: Path) -> None:
    case = collection(tmp_path / "nothing", tmp_path, 20)
    files = [path for path in case.source.rglob("*") if path.is_file()]
    assert len({path.read_bytes() for path in files}) == len(files) == 20
    assert case.bytes / case.images == pytest.approx(COLLECTION_BYTES, rel=0.1)


def test_collection_of_real_photos_has_mean_size_and_every_class(
    shared_data: Path, tmp_path: Path
) -> None:
    case = collection(shared_data, tmp_path, 50)
    assert case.bytes / case.images == pytest.approx(COLLECTION_BYTES, rel=0.1)
    assert {folder.name for folder in case.source.iterdir()} >= {"daisy", "tulip", "cats", "dogs"}


def test_small_images_second_call_reuses_files(tmp_path: Path) -> None:
    first = small_images(tmp_path, tmp_path, 10)
    made = {path: path.stat().st_mtime_ns for path in first.source.rglob("*")}
    assert small_images(tmp_path, tmp_path, 10) == first
    assert {path: path.stat().st_mtime_ns for path in first.source.rglob("*")} == made


def test_paths_are_hard_links_that_share_an_inode(tmp_path: Path) -> None:
    case = paths(tmp_path, 250)
    files = [path for path in case.source.rglob("*") if path.is_file()]
    assert len(files) == case.images == 250
    assert len({path.stat().st_ino for path in files}) == 1
