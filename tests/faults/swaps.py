"""Files and folders of a source, exchanged between listing and reading.

`python -m tests.faults.swaps SECONDS` exchanges them at random moments of real conversions.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from records.dataset import open_dataset
from records.errors import ShardmillError
from records.format import layout
from tests.pipelines.pictures import make_folders, make_picture

LIMIT_SECONDS = 30
VICTIM = "dog/004.png"
SECRET = make_picture(77, size=(31, 17))
"""A picture outside the source, which no dataset may contain."""
Swap = Callable[[Path, Path], None]


def _replace(make: Callable[[Path, Path], None]) -> Swap:
    def swap(path: Path, outside: Path) -> None:
        path.rename(path.with_name(f".{path.name}.before"))
        make(path, outside)

    return swap


def _resize(size_bytes: int) -> Swap:
    def swap(path: Path, _outside: Path) -> None:
        os.truncate(path, max(0, path.stat().st_size + size_bytes))

    return swap


def _write_other(path: Path, _outside: Path) -> None:
    path.write_bytes(make_picture(5, size=(40, 9)))


FILE_SWAPS: dict[str, Swap] = {
    "pipe": _replace(lambda path, _: os.mkfifo(path)),
    "link out": _replace(lambda path, outside: path.symlink_to(outside / "dog" / "004.png")),
    "link to a device": _replace(lambda path, _: path.symlink_to("/dev/zero")),
    "link to itself": _replace(lambda path, _: path.symlink_to(path.name)),
    "link to a file inside": _replace(lambda path, _: path.symlink_to("005.png")),
    "other file": _replace(_write_other),
    "folder": _replace(lambda path, _: path.mkdir()),
    "nothing": lambda path, _: path.unlink(),
    "truncated": _resize(-20),
    "emptied": _resize(-(1 << 40)),
    "grown": _resize(1),
    "grown by a MB": _resize(1 << 20),
}
FOLDER_SWAPS: dict[str, Swap] = {
    "folder: link out": _replace(lambda path, outside: path.symlink_to(outside / "dog")),
    "folder: link inside": _replace(lambda path, _: path.symlink_to("cat")),
    "folder: pipe": _replace(lambda path, _: os.mkfifo(path)),
    "folder: file": _replace(lambda path, _: path.touch()),
    "folder: empty": _replace(lambda path, _: path.mkdir()),
}
if os.geteuid() == 0 and sys.platform == "linux":
    FILE_SWAPS["device"] = _replace(lambda path, _: os.mknod(path, 0o020666, os.makedev(1, 5)))
SWAPS = {**FILE_SWAPS, **FOLDER_SWAPS}


def swap_in(source: Path, outside: Path, name: str) -> None:
    """Exchange the victim, or its folder."""
    victim = source / VICTIM
    with suppress(FileNotFoundError):
        SWAPS[name](victim if name in FILE_SWAPS else victim.parent, outside)


def make_outside(folder: Path) -> Path:
    """Make a folder with the secret under every name of the source."""
    make_folders(folder, dog=9)
    for path in folder.rglob("*.png"):
        path.write_bytes(SECRET)
    return folder


def require_accounted(output: Path) -> None:
    """Require that a finished dataset is consistent and has no bytes from outside its source."""
    with suppress(ShardmillError):
        for split in open_dataset(output).values():
            assert all(record.image != SECRET for record in split)


@contextmanager
def unblocked_pipes(folder: Path) -> Iterator[None]:
    """At the end of the block, let go all who wait for a pipe below a folder."""
    try:
        yield
    finally:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_fifo():
                    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


@contextmanager
def time_limit(folder: Path) -> Iterator[None]:
    """Fail instead of waiting for a pipe."""

    def end(*_: object) -> None:
        with unblocked_pipes(folder):
            raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main(seconds: float) -> int:
    """Exchange files at random moments of conversions; return the number of them."""
    end = time.monotonic() + seconds
    runs = 0
    longest_seconds = 3.0
    while time.monotonic() < end:
        seed = random.SystemRandom().randrange(1 << 32)
        longest_seconds = _attack(random.Random(seed), seed, longest_seconds)
        runs += 1
    return runs


def _attack(chance: random.Random, seed: int, longest_seconds: float) -> float:
    """Convert once, and exchange a file after a random time; return the time of a conversion."""
    folder = Path(tempfile.mkdtemp(prefix="swaps-"))
    name = chance.choice(list(SWAPS))
    try:
        source = make_folders(folder / "source", cat=40, dog=40)
        outside = make_outside(folder / "outside")
        command = [sys.executable, "-m", "shardmill", "convert", str(source), str(folder / "out")]
        flags = ["--quiet", "--max-rejects=100"]
        started_at = time.monotonic()
        process = subprocess.Popen([*command, *flags], stderr=subprocess.PIPE)
        time.sleep(chance.uniform(0.3, 1) * longest_seconds)
        swap_in(source, outside, name)
        _, errors = process.communicate(timeout=60)
        assert process.returncode in {0, 2, 65, 66, 74}, (seed, name, process.returncode, errors)
        assert (process.returncode == 0) == (folder / "out" / layout.MANIFEST).exists(), seed
        require_accounted(folder / "out")
        return min(longest_seconds, time.monotonic() - started_at)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdout.write(f"{main(float(sys.argv[1]))} conversions without a find\n")
