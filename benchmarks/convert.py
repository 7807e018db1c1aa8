"""`convert` against the plain loop: whole processes, alternating, medians, ratios.

python -m benchmarks.convert --photos 4000 --small 30000
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.pictures import photos, small_images


class Measure(NamedTuple):
    """A whole process: seconds, megabytes at its peak, and what it printed."""

    seconds: float
    peak_mb: float
    output: str


def measure(command: list[str]) -> Measure:
    """Run a command, with the wall clock and the peak resident memory of it and its children."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode()
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)} ended with {process.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Measure(seconds, usage.ru_maxrss / unit, text)


def compare(source: Path, work: Path, rounds: int) -> None:
    """Alternate the plain loop and both checks over one source, and print medians and ratios."""
    measures: dict[str, list[Measure]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, command in _commands(source, work / "target").items():
            done = measure(command)
            shutil.rmtree(work / "target")
            if number:  # the first round fills the page cache
                measures[name].append(done)
    _print(measures)


def _commands(source: Path, target: Path) -> dict[str, list[str]]:
    loop = str(Path(__file__).with_name("plain_loop.py"))
    convert = ["-m", "shardmill", "convert", str(source), str(target), "--quiet", "--check"]
    return {
        "plain loop": [sys.executable, loop, str(source), str(target)],
        "convert --check header": [sys.executable, *convert, "header"],
        "convert --check decode": [sys.executable, *convert, "decode"],
    }


def _print(measures: dict[str, list[Measure]]) -> None:
    work_seconds = statistics.median(float(m.output) for m in measures["plain loop"])
    click.echo(f"  {'':<24}{'seconds':>9}{'peak MB':>9}{'/ loop':>8}{'- 3 s, / its work':>19}")
    loop_seconds = statistics.median(m.seconds for m in measures["plain loop"])
    for name, runs in measures.items():
        seconds = statistics.median(m.seconds for m in runs)
        peak = max(m.peak_mb for m in runs)
        beyond = f"{(seconds - 3) / work_seconds:19.2f}" if name != "plain loop" else ""
        click.echo(f"  {name:<24}{seconds:9.2f}{peak:9.0f}{seconds / loop_seconds:8.2f}{beyond}")
    click.echo(f"  the plain loop's work after its imports: {work_seconds:.2f} s")


@click.command()
@click.option("--photos", "photo_count", default=4000, show_default=True)
@click.option("--small", "small_count", default=30_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(photo_count: int, small_count: int, rounds: int) -> None:
    """Compare on photos and on small PNGs."""
    with tempfile.TemporaryDirectory(prefix="shardmill-benchmark-") as folder:
        work = Path(folder)
        for name, make, count in (
            ("photos", photos, photo_count),
            ("small PNGs", small_images, small_count),
        ):
            if count:
                click.echo(f"{count} {name}, {rounds} rounds")
                compare(make(work / name.replace(" ", "-"), count), work, rounds)


if __name__ == "__main__":
    main()
