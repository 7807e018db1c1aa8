"""Settings of a run: scale, folders, contestants and cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.harness.rounds import Case, Contestant


@dataclass(frozen=True)
class Scale:
    """Numbers of images and rounds of a run.

    Args:
        rounds: the number of rounds.
        small_sizes: the numbers of 28×28 PNGs to convert, ascending.
        photo_sizes: the numbers of photos to convert, ascending.
        read_images: the number of photos to read for training.
        drawn_images: the number of images in the datasets for random access.
        draws: the number of random accesses.
        paths: the number of paths to list and to plan.
        made_up_images: the number of images without files to plan.
        accelerator_files: the number of files, each of 1,251 images, for emulated accelerators.
        accelerator_steps: the number of measured steps of each emulated accelerator.
        large_photos: the numbers of 12-megapixel photos to resize, ascending.
        linear_sizes: the numbers of images that show how the cost grows, ascending.
        collection_images: the number of photos of the large collection.
        predicted_photos: the numbers of photos to predict, ascending; two processes have the same
            amount of work if each number is a multiple of 2,000.
        searched_hashes: the numbers of images whose hashes are searched, ascending.
    """

    rounds: int
    small_sizes: tuple[int, ...]
    photo_sizes: tuple[int, ...]
    read_images: int
    drawn_images: int
    draws: int
    paths: int
    made_up_images: int
    accelerator_files: int
    accelerator_steps: int
    large_photos: tuple[int, ...]
    linear_sizes: tuple[int, ...]
    collection_images: int
    predicted_photos: tuple[int, ...]
    searched_hashes: tuple[int, ...]


FULL = Scale(
    rounds=3,
    small_sizes=(12_000, 60_000),
    photo_sizes=(3_000, 12_000),
    read_images=3_000,
    drawn_images=12_000,
    draws=50_000,
    paths=1_000_000,
    made_up_images=10_000_000,
    accelerator_files=8,
    accelerator_steps=32,
    large_photos=(20, 120),
    linear_sizes=(1_000, 3_000, 10_000, 30_000, 100_000, 300_000),
    collection_images=128_000,
    predicted_photos=(2_000, 4_000),
    searched_hashes=(100_000, 300_000, 1_000_000),
)
QUICK = Scale(
    rounds=1,
    small_sizes=(4_000, 20_000),
    photo_sizes=(1_000, 4_000),
    read_images=2_000,
    drawn_images=2_000,
    draws=20_000,
    paths=200_000,
    made_up_images=1_000_000,
    accelerator_files=2,
    accelerator_steps=12,
    large_photos=(10, 60),
    linear_sizes=(1_000, 3_000, 10_000, 30_000),
    collection_images=4_000,
    predicted_photos=(2_000,),
    searched_hashes=(30_000, 100_000),
)
TRY = Scale(
    rounds=1,
    small_sizes=(500, 1_000),
    photo_sizes=(500, 1_000),
    read_images=500,
    drawn_images=500,
    draws=2_000,
    paths=10_000,
    made_up_images=20_000,
    accelerator_files=1,
    accelerator_steps=4,
    large_photos=(4, 8),
    linear_sizes=(500, 1_000),
    collection_images=500,
    predicted_photos=(50, 100),
    searched_hashes=(500, 1_000),
)


@dataclass(frozen=True)
class Setting:
    """Scale of a run, folder of real images, and cache folder of generated files."""

    scale: Scale
    data: Path
    cache: Path

    @property
    def out(self) -> Path:
        """Folder to which contestants write, on the same disk as the data."""
        return self.cache / "out"

    @property
    def derived(self) -> Path:
        """Folder of datasets that are written once per run, for all rounds."""
        return self.cache / "derived"


@dataclass(frozen=True)
class Entry:
    """Contestants of a benchmark, and the cases on which they are measured.

    Args:
        contestants: the programs, in the order of the first round.
        cases: the inputs.
        trial_images: the number of photos that every program processes before the first round. The
            trial finds the programs that cannot run here. 0 means no trial.
        rounds: the number of rounds; None means that of the scale.
    """

    contestants: Sequence[Contestant]
    cases: Sequence[Case]
    trial_images: int = 100
    rounds: int | None = None
