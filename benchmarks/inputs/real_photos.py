"""Real photos with classes, and the ImageNet weights of MobileNetV2.

Synthetic photos cannot replace them: a benchmark of accuracy depends on the images.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import shardmill as sm
from benchmarks.harness.rounds import Case
from records.dataset import Dataset, open_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.harness.settings import Setting

FLOWERS = "flowers"
CATS_AND_DOGS = "cats_and_dogs"
SHARES = {"5 %": 0.05, "20 %": 0.2}
"""The shares of flipped labels by their names in tables."""
BACKBONE = "mobilenet_v2"
_WEIGHTS = f"{BACKBONE}.weights.h5"


def has_photos(data: Path) -> bool:
    """Return whether the folder of real images contains the photos and the weights."""
    return all((data / name).exists() for name in (FLOWERS, CATS_AND_DOGS, _WEIGHTS))


def weights_file(setting: Setting) -> Path:
    """Return the path of the weights."""
    return setting.data / _WEIGHTS


def flipped_cases(setting: Setting) -> list[Case]:
    """Return a case for each set of photos and each share of flipped labels."""
    return [
        _flipped_case(setting, photos, share)
        for photos in (FLOWERS, CATS_AND_DOGS)
        for share in SHARES
    ]


def _flipped_case(setting: Setting, photos: str, share: str) -> Case:
    return replace(real_case(setting, photos), name=f"{photos}, {share}")


def real_case(setting: Setting, photos: str) -> Case:
    """Return a case with all photos of a set."""
    paths = list((setting.data / photos).rglob("*.jpg"))
    size_bytes = sum(path.stat().st_size for path in paths)
    return Case(photos, setting.data / photos, len(paths), size_bytes)


def split_case(name: str) -> tuple[str, str]:
    """Return the photos and the share of flipped labels of a case."""
    photos, _, share = name.rpartition(", ")
    return photos, share


def with_cache(setting: Setting, command: list[str]) -> list[str]:
    """Return a command that keeps features in the cache of the benchmarks, for later runs."""
    return ["env", f"XDG_CACHE_HOME={setting.cache / 'features'}", *command]


def read_classes(source: Path) -> dict[str, str]:
    """Return the class of each photo by key, the path relative to the source."""
    paths = sorted(source.rglob("*.jpg"))
    return {path.relative_to(source).as_posix(): path.parent.name for path in paths}


def flip_labels(classes: Mapping[str, str], share: float, seed: int) -> dict[str, str]:
    """Return a wrong class, at random, for a share of the photos, by key."""
    random = np.random.default_rng(seed)
    keys, names = list(classes), sorted(set(classes.values()))
    chosen = random.choice(len(keys), round(share * len(keys)), replace=False)
    return {
        keys[number]: str(random.choice([name for name in names if name != classes[keys[number]]]))
        for number in chosen
    }


def convert_labelled(source: Path, target: Path, classes: Mapping[str, str]) -> Dataset:
    """Convert the photos with these keys, with these classes, and return the dataset."""
    listed = target.with_suffix(".csv")
    listed.parent.mkdir(parents=True, exist_ok=True)
    with listed.open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "class"), *classes.items()])
    sm.convert(source, target, list=listed, check="header")
    return open_dataset(target)
