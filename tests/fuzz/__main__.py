"""Fuzzer of files by hand: mutations for some minutes, findings in a folder.

    python -m tests.fuzz --minutes 60 --seed 1 --findings fuzz-findings
    python -m tests.fuzz --minutes 60 --target zip --target tar --target parquet

Without a target, the files are images; a file is a finding if TensorFlow refuses what is stored or
shows other pixels, or if two decodings differ. With targets, the files are those of targets.py; a
file is a finding if its check raises an error. Any file is a finding if its check takes 10 s of
processor time or adds 600 MB to the memory of the process, without what TensorFlow needs.
Exit code 1 means findings. The same seed makes the same files.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from tests.fuzz.image_mutations import mutate_image
from tests.fuzz.image_seeds import image_seeds, other_image_seeds
from tests.fuzz.images import check_image
from tests.fuzz.mutations import apply, random_edits
from tests.fuzz.targets import TARGETS

_MOST_SECONDS = 10
_MOST_MEMORY_KB = 600_000


def main() -> int:
    """Fuzz until the time is over; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", default=[], choices=list(TARGETS))
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    chance = random.Random(options.seed)
    memory = _MemoryLimit()
    mutate, check = _choose(options.target, memory)
    files = stored = findings = 0
    ends_at = time.monotonic() + 60 * options.minutes
    while time.monotonic() < ends_at:
        name, data = mutate(chance)
        files += 1
        try:
            memory.begin_file()
            started = time.process_time()
            stored += check(name, data)
            assert time.process_time() - started < _MOST_SECONDS, "too slow"
        except Exception:
            findings += 1
            _save(options.findings, data)
        if files % 10_000 == 0:
            click.echo(f"{files:,} files, {stored:,} stored, {findings} findings")
    click.echo(f"{files:,} files, {stored:,} stored, {findings} findings")
    return 1 if findings else 0


class _MemoryLimit:
    """A limit of the memory that one file may add to that of this process.

    TensorFlow keeps a little memory of each file, so the limit is one of the file, not of the run.
    """

    def begin_file(self) -> None:
        """Have the peak of the files before not count for the next one; only Linux can do so."""
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._allowed_kb = _peak_kb() + _MOST_MEMORY_KB

    def check(self) -> None:
        assert _peak_kb() < self._allowed_kb, "too much memory"


def _choose(
    targets: list[str], memory: _MemoryLimit
) -> tuple[Callable[[random.Random], tuple[str, bytes]], Callable[[str, bytes], bool]]:
    """Return functions that make a file and its name, and that check it: is it stored?"""
    if not targets:
        seeds = image_seeds() + other_image_seeds()
        for seed in seeds:  # also loads TensorFlow
            check_image(seed)
        return (
            lambda chance: ("", mutate_image(chance.choice(seeds), chance)),
            lambda _, data: check_image(data, memory.check),
        )
    files = [(name, seed) for name in targets for seed in TARGETS[name].seeds()]

    def mutate(chance: random.Random) -> tuple[str, bytes]:
        name, seed = chance.choice(files)
        return name, apply(seed, random_edits(chance))

    def check(name: str, data: bytes) -> bool:
        TARGETS[name].check(data)
        memory.check()
        return True

    return mutate, check


def _peak_kb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def _save(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / hashlib.sha256(data).hexdigest()[:12]
    file.write_bytes(data)
    click.echo(f"finding: {file}\n{traceback.format_exc(limit=-2)}")


if __name__ == "__main__":
    sys.exit(main())
