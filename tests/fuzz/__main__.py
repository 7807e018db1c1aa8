"""Fuzzer of image files by hand: mutations for some minutes, findings in a folder.

    python -m tests.fuzz --minutes 60 --seed 1 --findings fuzz-findings

Exit code 1 means findings. The same seed makes the same files.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

import click

from tests.fuzz.image_mutations import image_seeds, mutate_image
from tests.fuzz.images import check_image


def main() -> int:
    """Fuzz until the time is over; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    chance, seeds = random.Random(options.seed), image_seeds()
    for seed in seeds:  # also loads TensorFlow
        check_image(seed)
    files = stored = findings = 0
    ends_at = time.monotonic() + 60 * options.minutes
    while time.monotonic() < ends_at:
        data = mutate_image(chance.choice(seeds), chance)
        files += 1
        try:
            stored += check_image(data)
        except Exception:
            findings += 1
            _save(options.findings, data)
        if files % 10_000 == 0:
            click.echo(f"{files:,} files, {stored:,} stored, {findings} findings")
    click.echo(f"{files:,} files, {stored:,} stored, {findings} findings")
    return 1 if findings else 0


def _save(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
    file = folder / (hashlib.sha256(data).hexdigest()[:12] + suffix)
    file.write_bytes(data)
    click.echo(f"finding: {file}\n{traceback.format_exc(limit=-2)}")


if __name__ == "__main__":
    sys.exit(main())
