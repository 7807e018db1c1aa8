"""Rounds in which all contestants are measured one after another.

Therefore, a drift in the speed of the machine affects all contestants similarly.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from benchmarks.harness.process import ProcessError, measure
from benchmarks.harness.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    """Input of a command: usually a folder with class folders of images."""

    name: str
    source: Path
    images: int
    bytes: int


@dataclass(frozen=True)
class Contestant:
    """A program that is measured.

    Args:
        name: the name in tables.
        command: the command for a case and an output folder, which does not exist yet.
        version: the version of the measured program.
    """

    name: str
    command: Callable[[Case, Path], list[str]]
    version: str


def order(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """Return the contestants of a round; reverse them in every second round."""
    return list(contestants) if number % 2 == 0 else list(reversed(contestants))


def find_able(
    contestants: Sequence[Contestant], trial: Case, out: Path
) -> tuple[list[Contestant], dict[str, str]]:
    """Run every contestant once on a small case.

    Returns:
        the contestants that succeeded, and the error messages of the others by name.
    """
    able: list[Contestant] = []
    failed: dict[str, str] = {}
    for contestant in contestants:
        try:
            run_once(contestant, trial, out, number=0)
            able.append(contestant)
        except ProcessError as error:
            failed[contestant.name] = str(error).strip().rpartition("\n")[2]
            click.echo(f"{contestant.name} cannot run here: {error}", err=True)
    return able, failed


def run_rounds(
    contestants: Sequence[Contestant], cases: Sequence[Case], rounds: int, out: Path
) -> list[Sample]:
    """Measure every contestant on every case in every round.

    A contestant that fails has a second try: one failure in an hour must not cost all samples.

    Raises:
        ProcessError: a contestant failed twice.
    """
    samples: list[Sample] = []
    for case in cases:
        for number in range(rounds):
            for contestant in order(contestants, number):
                try:
                    sample = run_once(contestant, case, out, number=number)
                except ProcessError as error:
                    click.echo(f"{contestant.name} failed, and is run again: {error}", err=True)
                    sample = run_once(contestant, case, out, number=number)
                samples.append(sample)
                click.echo(_describe(sample, rounds), err=True)
    return samples


def run_once(contestant: Contestant, case: Case, out: Path, *, number: int) -> Sample:
    """Measure a contestant once, and remove its output."""
    shutil.rmtree(out, ignore_errors=True)
    os.sync()  # the writes of earlier contestants must not slow this one down
    warm(case.source)
    try:
        done = measure(contestant.command(case, out), environ())
    finally:
        shutil.rmtree(out, ignore_errors=True)
    figures = done.reported()
    images, work_seconds = figures.pop("images", case.images), figures.pop("seconds", None)
    if images != case.images:
        raise ProcessError(f"{contestant.name} processed {images} of {case.images} images")
    return Sample(
        case=case.name,
        images=case.images,
        bytes=case.bytes,
        contestant=contestant.name,
        round=number,
        seconds=done.seconds,
        cpu_seconds=done.cpu_seconds,
        work_seconds=work_seconds,
        peak_bytes=done.peak_bytes,
        figures=figures,
    )


def environ() -> Mapping[str, str]:
    """Return the environment variables of all contestants: without GPU, with bytecode files."""
    quiet = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | quiet


def warm(source: Path) -> None:
    """Read every file, so that the page cache contains the files, as far as they fit.

    The output of the contestant before can have taken the place of files.
    """
    for folder, _, names in os.walk(source):
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as stream:  # noqa: PTH118, PTH123
                while stream.read(1 << 20):
                    pass


def _describe(sample: Sample, rounds: int) -> str:
    return (
        f"{sample.case} {sample.images:,}, round {sample.round + 1} of {rounds}:"
        f" {sample.contestant} {sample.seconds:.2f} s,"
        f" {sample.cpu_seconds:.2f} s of CPU time, {sample.peak_bytes / 1e6:,.0f} MB"
    )
