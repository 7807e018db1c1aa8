"""An altered picture is found again, and no other one with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from benchmarks.inputs.alterations import ALTERATIONS
from benchmarks.suites.near_duplicates import compare, drop_near, hash_altered, list_photos
from records.dedup.perceptual_hash import SIDE_PX, WINDOWS, WORDS, hash_picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Of the whole table in docs/how-to/duplicates.md these cost little and fail first.
TESTED = (
    "resized to 50 %",
    "JPEG, quality 50",
    "15 % brighter",
    "grey",
    "cropped by 2 %, all sides",
    "cropped by 5 %, left",
    "cropped by 10 %, all sides",
    "cropped by 10 %, bottom",
    "cropped by 5 %, left and top",
)


EXPECTED = (0xA954169BE3351595, 0xF3DC61CC9B5D412A, 0x000000000000E631)


def make_photos(folder: Path, count: int) -> list[Path]:
    """Pictures with as much in them as photos have: blurs of chance, and grain."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = random.integers(0, 256, (9, 12, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((240, 180), Image.Resampling.BICUBIC)
        grain = random.normal(0, 8, (180, 240, 3))
        picture = np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(picture).save(paths[-1])
    return paths


Photos = tuple[list["Path"], "NDArray[np.uint64]"]


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> Photos:
    return drop_near(list_photos(shared_data, 24))


@pytest.mark.parametrize("name", TESTED)
def test_perceptual_hash_altered_photos_match_without_false_positives(
    photos: Photos, name: str
) -> None:
    found = compare(photos[1], hash_altered(photos[0], ALTERATIONS[name]))
    assert found.pictures >= 22
    assert found.found >= 0.9 * found.pictures
    assert found.wrong == 0


def test_perceptual_hash_altered_synthetic_images_match_without_false_positives(
    tmp_path: Path,
) -> None:
    made, originals = drop_near(make_photos(tmp_path, 12))
    assert len(made) == 12
    for name in TESTED[::3]:
        found = compare(originals, hash_altered(made, ALTERATIONS[name]))
        assert found.found >= 10, name
        assert found.wrong == 0, name


def square(levels: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(128, levels, (SIDE_PX, SIDE_PX))
    return np.clip(noise, 0, 255).astype(np.uint8)


def test_perceptual_hash_featureless_image_is_none() -> None:
    assert hash_picture(np.full((SIDE_PX, SIDE_PX), 255, np.uint8)) is None
    assert hash_picture(square(2)) is None  # what a JPEG leaves on one colour
    hashes = hash_picture(square(20))
    assert hashes is not None
    assert (hashes.shape, hashes.dtype) == ((WINDOWS, WORDS), np.dtype(np.uint64))


def test_perceptual_hash_golden_image_value_is_stable() -> None:
    """Hashes are kept beside datasets: another one wants another name in METHOD."""
    across, down = np.meshgrid(np.arange(SIDE_PX), np.arange(SIDE_PX))
    picture = (across * 3 + down**2 // 40 + 60 * (across // 12 % 2) * (down // 16 % 2)) % 256
    hashes = hash_picture(picture.astype(np.uint8))
    assert hashes is not None
    expected = np.array(EXPECTED, np.uint64)
    # Another processor may round another way where a frequency is all but the median.
    assert np.bitwise_count(hashes[0] ^ expected).sum() <= 2
