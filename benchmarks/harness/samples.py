"""Raw measurements in `results/*.json`: one sample per run of a contestant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class Sample(msgspec.Struct, frozen=True):
    """One run of one contestant.

    Attributes:
        case: the name of the input, such as `photos`.
        images: the number of images.
        bytes: the total size of the image files.
        contestant: the name of the contestant.
        round: the number of the round, from 0; only samples of the same round are compared.
        seconds: the wall time of the whole process.
        cpu_seconds: the user and system CPU time of the process and its children.
        work_seconds: the duration of the work without start-up, as the program reports it.
        peak_bytes: the peak memory of the process and its children.
        figures: the other figures that the program reports, by name.
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
    """Samples of a benchmark, and the conditions under which they were measured.

    Attributes:
        benchmark: the name of the benchmark.
        command: the command line.
        machine: the properties of the machine, by name.
        versions: the version of each contestant.
        data: the description of the images, by case.
        failed: the error messages of contestants that could not run, by contestant.
        samples: the samples of all runs.
    """

    benchmark: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    data: dict[str, str]
    failed: dict[str, str]
    samples: list[Sample]

    def of(self, case: str, images: int | None = None) -> list[Sample]:
        """Return the samples of a case with this number of images; by default, the largest one."""
        size = max(self.sizes(case), default=0) if images is None else images
        return [each for each in self.samples if each.case == case and each.images == size]

    def adding(self, new: Result) -> Result:
        """Return this result with the samples of a new one, which replace those of its contestants.

        The samples were measured at different times, so that only figures that do not depend on the
        load of the machine may be compared, such as accuracies.
        """
        replaced = {each.contestant for each in new.samples} | new.failed.keys()
        return msgspec.structs.replace(
            new,
            command=f"{self.command}; {new.command}",
            versions=self.versions | new.versions,
            failed={name: why for name, why in self.failed.items() if name not in replaced}
            | new.failed,
            samples=[each for each in self.samples if each.contestant not in replaced]
            + new.samples,
        )

    def cases(self) -> list[str]:
        """Return all cases, in order."""
        return list(dict.fromkeys(sample.case for sample in self.samples))

    def sizes(self, case: str) -> list[int]:
        """Return the numbers of images with which the case was measured, ascending."""
        return sorted({sample.images for sample in self.samples if sample.case == case})


def result_path(benchmark: str, folder: Path) -> Path:
    """Return the path of the result of a benchmark."""
    return folder / f"{benchmark}.json"


def write_result(result: Result, folder: Path) -> Path:
    """Write a result to its file in the folder, and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = result_path(result.benchmark, folder)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return path


def read_result(path: Path) -> Result:
    """Read a stored result."""
    return msgspec.json.decode(path.read_bytes(), type=Result)
