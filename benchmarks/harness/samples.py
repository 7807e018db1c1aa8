"""Raw measurements in `results/*.json`: every run of every contestant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class Sample(msgspec.Struct, frozen=True):
    """One run of one contestant.

    Attributes:
        case: the input, such as `photos`.
        images: number of images.
        bytes: size of all their files.
        contestant: its name.
        round: number of the round, from 0; only samples of the same round are compared.
        seconds: wall time of the whole process.
        cpu_seconds: processor time of it and its children, user's and system's.
        work_seconds: duration of the work as the program reports it, without start-up.
        peak_bytes: memory of the process and its children at its peak.
        figures: other figures that the program reports, by name.
    """

    case: str
    images: int
    bytes: int
    contestant: str
    round: int
    seconds: float
    cpu_seconds: float
    work_seconds: float | None
    peak_bytes: int
    figures: dict[str, float] = {}


class Result(msgspec.Struct, frozen=True):
    """A benchmark's samples and their circumstances.

    Attributes:
        benchmark: its name.
        command: the command line.
        machine: processors, memory, system, by name.
        versions: the version of each contestant.
        data: description of the images.
        failed: contestants that could not run here, and why.
        samples: every run.
    """

    benchmark: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    data: dict[str, str]
    failed: dict[str, str]
    samples: list[Sample]

    def of(self, case: str, images: int | None = None) -> list[Sample]:
        """Return the samples of a case, those of its largest size if `images` is None."""
        size = max(self.sizes(case), default=0) if images is None else images
        return [each for each in self.samples if each.case == case and each.images == size]

    def cases(self) -> list[str]:
        """Return all cases, in order."""
        return list(dict.fromkeys(sample.case for sample in self.samples))

    def sizes(self, case: str) -> list[int]:
        """Return the numbers of images that the case was measured with, ascending."""
        return sorted({sample.images for sample in self.samples if sample.case == case})


def write_result(result: Result, folder: Path) -> Path:
    """Write a result as `BENCHMARK.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.benchmark}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return path


def read_result(path: Path) -> Result:
    """Read a stored result."""
    return msgspec.json.decode(path.read_bytes(), type=Result)
