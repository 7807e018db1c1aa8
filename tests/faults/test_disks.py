"""Disks that are full or read-only: small file systems in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from records.errors import OutputError
from records.format import layout
from tests.faults import processes
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs, which takes root"),
]
OPTIONS = {"shards": 4, "test": 8}
FLAGS = ("--shards=4", "--test-count=8")
ENOUGH = "rw,size=64m,nr_inodes=10000"
KB = 1 << 10
# The output takes about 1,300 kB: disks fill up in the plan, shards, indexes, and the end.
SIZES_KB = (4, 12, 40, 60, 400, 800, 1000, 1240, 1256, 1260, 1264)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(40):
        make_file(folder, f"{number % 2}/{number}.png", make_picture(number, size=(100, 100)))
    return folder


class Disk(NamedTuple):
    """A separate file system; an output in it."""

    folder: Path
    output: Path

    def remount(self, options: str) -> None:
        """Change its size, or make it read-only or writable."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Yield a small file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to be allowed to mount a tmpfs")
    yield Disk(folder, folder / "data")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def expected(convert: Convert, photos: Path, tmp_path: Path) -> dict[str, bytes]:
    output = tmp_path / "expected"
    convert(**OPTIONS, source=str(photos), output=str(output))
    return content_of(output)


@pytest.mark.parametrize(
    "space", [*(f"size={size}k" for size in SIZES_KB), *(f"nr_inodes={n}" for n in (4, 16, 22))]
)
def test_convert_disk_full_raises_output_error_and_resumes_finished_shards(
    convert: Convert,
    photos: Path,
    disk: Disk,
    expected: dict[str, bytes],
    space: str,
) -> None:
    disk.remount(f"{ENOUGH},{space}")
    with pytest.raises(OutputError, match="the disk is full"):
        convert(**OPTIONS, source=str(photos), output=str(disk.output))
    assert not (disk.output / layout.MANIFEST).exists()
    finished = processes.finished_shards(disk.output)
    disk.remount(ENOUGH)
    convert(**OPTIONS, source=str(photos), output=str(disk.output))
    assert finished.items() <= processes.finished_shards(disk.output).items()
    assert content_of(disk.output) == expected


@pytest.mark.parametrize(
    "size_kb", [800, *(pytest.param(size, marks=pytest.mark.slow) for size in SIZES_KB)]
)
def test_convert_command_disk_full_exits_with_status_73_and_one_line(
    photos: Path, disk: Disk, expected: dict[str, bytes], size_kb: int
) -> None:
    disk.remount(f"{ENOUGH},size={size_kb}k")
    status, errors = processes.convert(photos, disk.output, *FLAGS)
    assert (status, errors.count("\n")) == (73, 1), errors
    assert "the disk is full" in errors
    disk.remount(ENOUGH)
    assert processes.convert(photos, disk.output, *FLAGS) == (0, "")
    assert content_of(disk.output) == expected


@pytest.mark.slow
def test_convert_command_disk_full_in_worker_processes_prints_one_line(
    photos: Path, disk: Disk, expected: dict[str, bytes]
) -> None:
    flags = FLAGS + processes.IN_CHILDREN
    disk.remount(f"{ENOUGH},size=800k")
    status, errors = processes.convert(photos, disk.output, *flags)
    assert (status, errors.count("\n")) == (73, 1), errors
    disk.remount(ENOUGH)
    assert processes.convert(photos, disk.output, *flags) == (0, "")
    assert content_of(disk.output) == expected


def test_convert_command_read_only_disk_exits_with_status_73_and_one_line(
    photos: Path, disk: Disk, expected: dict[str, bytes]
) -> None:
    disk.remount("ro")
    status, errors = processes.convert(photos, disk.output, *FLAGS)
    assert (status, errors.count("\n")) == (73, 1), errors
    assert "the file system is read-only" in errors
    assert not (disk.output).exists()
    disk.remount(ENOUGH)
    assert processes.convert(photos, disk.output, *FLAGS) == (0, "")
    disk.remount("ro")
    assert processes.convert(photos, disk.output, *FLAGS) == (0, "")
    assert content_of(disk.output) == expected


def test_convert_disk_becomes_read_only_keeps_output_and_resumes(
    convert: Convert, photos: Path, disk: Disk, expected: dict[str, bytes]
) -> None:
    disk.remount(f"{ENOUGH},size=800k")
    with pytest.raises(OutputError, match="the disk is full"):
        convert(**OPTIONS, source=str(photos), output=str(disk.output))
    before = content_of(disk.output)
    disk.remount("ro,size=64m")
    with pytest.raises(OutputError, match="the file system is read-only"):
        convert(**OPTIONS, source=str(photos), output=str(disk.output))
    assert content_of(disk.output) == before
    disk.remount(ENOUGH)
    convert(**OPTIONS, source=str(photos), output=str(disk.output))
    assert content_of(disk.output) == expected
