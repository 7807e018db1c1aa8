"""What was measured, raw, as it is kept in `results/*.json`: every run of every contestant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class Sample(msgspec.Struct, frozen=True):
    """One run of one contestant.

    Args:
        case: what it worked on, such as `photos`.
        images: how many.
        bytes: of all their files.
        contestant: who.
        round: the number of the round, from 0; what is compared is of one round.
        seconds: wall time of the whole process.
        cpu_seconds: processor time of it and its children, user's and system's.
        work_seconds: what the program itself says its work took, start-up left out.
        peak_bytes: memory of the process and its children at its peak.
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


class Result(msgspec.Struct, frozen=True):
    """A benchmark's samples, and where they were taken.

    Args:
        benchmark: its name.
        command: what was typed.
        machine: processors, memory, system, by name.
        versions: of each contestant.
        data: what the images were.
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
        """The samples of a case, those of its largest size where none is named."""
        size = max(self.sizes(case), default=0) if images is None else images
        return [each for each in self.samples if each.case == case and each.images == size]

    def cases(self) -> list[str]:
        """All cases, in order."""
        return list(dict.fromkeys(sample.case for sample in self.samples))

    def sizes(self, case: str) -> list[int]:
        """How many images the case was measured with, ascending."""
        return sorted({sample.images for sample in self.samples if sample.case == case})


def write_result(result: Result, folder: Path) -> Path:
    """Keep a result as `BENCHMARK.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.benchmark}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return path


def read_result(path: Path) -> Result:
    """A result as it was kept."""
    return msgspec.json.decode(path.read_bytes(), type=Result)
