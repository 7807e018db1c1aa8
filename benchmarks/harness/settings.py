"""Settings of a run: its scale, its folders, the contestants entered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.harness.rounds import Case, Contestant


@dataclass(frozen=True)
class Scale:
    """Numbers of images of a run, and of rounds.

    Args:
        rounds: number of rounds.
        small_sizes: the numbers of 28×28 PNGs that are converted, ascending.
        photo_sizes: the numbers of photos that are converted, ascending.
        read_images: photos that are read.
        drawn_images: photos from which single ones are read.
        draws: the number of those reads.
        paths: number of paths that are listed and planned.
        made_up_images: number of planned images that have no files.
        accelerator_files: files of 1,251 images that feed emulated accelerators.
        accelerator_steps: steps that every number of accelerators does.
        large_photos: the numbers of 12-megapixel photos that are made small, ascending.
        linear_sizes: the numbers of images of conversions that show a linear cost, ascending.
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


FULL = Scale(
    rounds=3,
    small_sizes=(12_000, 60_000),
    photo_sizes=(3_000, 12_000),
    read_images=6_000,
    drawn_images=12_000,
    draws=50_000,
    paths=1_000_000,
    made_up_images=10_000_000,
    accelerator_files=8,
    accelerator_steps=32,
    large_photos=(20, 120),
    linear_sizes=(1_000, 3_000, 10_000, 30_000, 100_000, 300_000),
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
)


@dataclass(frozen=True)
class Setting:
    """A run: its scale, the folder of real pictures, and the cache for generated files."""

    scale: Scale
    data: Path
    cache: Path

    @property
    def out(self) -> Path:
        """Folder that contestants write to, on the same disk as the data."""
        return self.cache / "out"

    @property
    def derived(self) -> Path:
        """Folder of datasets that are made once per run for several rounds."""
        return self.cache / "derived"


@dataclass(frozen=True)
class Entry:
    """Contestants and the cases they are measured on.

    Args:
        contestants: the programs, in the order of the first round.
        cases: the inputs.
        trial_images: photos that every program processes before the first round, so that those
            that cannot run here are found; 0 for no trial.
    """

    contestants: Sequence[Contestant]
    cases: Sequence[Case]
    trial_images: int = 100
