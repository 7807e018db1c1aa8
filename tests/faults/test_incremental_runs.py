"""Thirty runs of `convert --append` on a changing folder, a third killed.

SHARDMILL_TEST_NIGHTS=N sets the number of runs; 4 in the quick test, 30 in the long one.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.planning.split_hash import from_threshold, hash_keys, split_numbers
from records import open_dataset, verify
from records.format.layout import SPLITS
from records.format.manifest import read_manifest
from records.storage import open_storage
from tests.faults import processes
from tests.pipelines.pictures import CORRUPT, make_file, make_picture

FLAGS = ("--append", "--test=0.25", "--allow-new-classes")
CLASSES = ("cat", "dog", "emu", "fox")


@dataclass
class Folder:
    """A source folder, and the required content of its dataset."""

    path: Path
    chance: random.Random
    stored: dict[str, bytes] = field(default_factory=dict)
    made: int = 0

    def work(self, night: int) -> None:
        """Simulate a day: add, change and remove files, occasionally a class or a bad file."""
        classes = CLASSES[: 2 + night // 8]
        for _ in range(self.chance.randint(0, 12)):
            self._write(f"{self.chance.choice(classes)}/{self.made:05d}.png")
        if self.chance.random() < 0.3:
            make_file(self.path, f"cat/bad-{night}.png", CORRUPT)
        there = sorted(self.stored.keys() & self._listed().keys())
        for key in self.chance.sample(there, min(len(there), self.chance.randint(0, 2))):
            self._write(key)
        for key in self.chance.sample(there, min(len(there), self.chance.randint(0, 2))):
            (self.path / key).unlink(missing_ok=True)

    def _write(self, key: str) -> None:
        self.made += 1
        make_file(self.path, key, make_picture(self.made, size=(4 + self.made % 9, 5)))

    def take(self) -> None:
        """Record a finished run: files not stored before are stored with their current bytes."""
        good = {key: data for key, data in self._listed().items() if "bad" not in key}
        self.stored = good | self.stored

    def _listed(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in self.path.rglob("*.png")
        }


def run_night(source: Path, output: Path, chance: random.Random, *, kills: bool) -> bool:
    """Run, or be killed at some moment; return whether the run finished."""
    process = processes.start(source, output, *FLAGS)
    if kills:
        time.sleep(chance.uniform(0.1, 1.2))
        if process.poll() is None:
            processes.kill(process)
            return False
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    return True


@pytest.mark.parametrize("nights", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_convert_append_incremental_runs_with_kills_keep_dataset_consistent(
    tmp_path: Path, nights: int
) -> None:
    nights = int(os.environ.get("SHARDMILL_TEST_NIGHTS", nights))
    chance = random.Random(nights)
    folder, output = Folder(tmp_path / "source", chance), tmp_path / "data"
    for number in range(20):
        make_file(
            folder.path, f"{CLASSES[number % 2]}/first-{number}.png", make_picture(-number % 99)
        )
    killed = 0
    for night in range(nights):
        folder.work(night)
        if run_night(folder.path, output, chance, kills=night % 3 == 2):
            folder.take()
            require_right(output, folder.stored)
        else:
            killed += 1
    assert run_night(folder.path, output, chance, kills=False)
    folder.take()
    require_right(output, folder.stored)
    assert killed or nights < 30


def require_right(output: Path, stored: dict[str, bytes]) -> None:
    """Require a complete dataset with exactly these images, split as in the first run."""
    assert list(verify(output)) == []
    (cut,) = read_manifest(open_storage(output)).thresholds
    thresholds = from_threshold(cut)
    found: dict[str, bytes] = {}
    for split, records in open_dataset(output).items():
        own = {record.key: record.image for record in records}
        hashes = hash_keys((key.encode() for key in own), 0)
        assert {SPLITS[number] for number in split_numbers(hashes, thresholds)} <= {split}
        assert found.keys().isdisjoint(own)
        found |= own
    assert found == stored
