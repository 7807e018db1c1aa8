"""Estimate of the time and memory of a conversion.

Example: `python docs/scripts/capacity_planning.py --images 1e9 --kb 110 --workers 200`.

A model of four terms, each a constant that `make bench` measured times a number of the conversion:
listing and planning on the driver, CPU time and storage I/O of the workers, reading the indexes.
`--write` puts its table into docs/explanation/capacity-planning.md, `--check` fails if the page
differs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

_PAGE = Path(__file__).parents[1] / "explanation" / "capacity-planning.md"
_BEGIN, _END = "<!-- made by docs/scripts/capacity_planning.py -->\n", "<!-- end -->"

# docs/explanation/performance.md: slopes of CPU time at 0.3 and 45 kB per image, on one core
# of an EPYC.
HEADER_S_IMAGE, HEADER_S_KB = 100e-6, 2.2e-6
DECODE_S_IMAGE, DECODE_S_KB = 215e-6, 21e-6
# Planning: a million paths listed and planned in 16 s; ten million synthetic ones in 1.45 GB.
PLAN_S_IMAGE, PLAN_BYTES_IMAGE, PROGRAM_BYTES = 16e-6, 135, 100e6
# An index of 2,500 rows read and checked.
COMMIT_S_SHARD = 3e-3


@dataclass(frozen=True)
class Conversion:
    """A conversion and its machines.

    Attributes:
        images: number of images.
        kb: average size of an image file, in kB.
        workers: number of processes that write shards.
        cores: number of cores of each worker.
        gbit: total bandwidth of the storage, in Gbit/s; each image is read and written.
        shard_mb: source bytes of a shard, in MB.
        decodes: whether every image is decoded.
    """

    images: float
    kb: float
    workers: int = 1
    cores: int = 2
    gbit: float = 10
    shard_mb: float = 128
    decodes: bool = True

    @property
    def shards(self) -> int:
        """Number of shards."""
        return math.ceil(self.images * self.kb * 1e3 / (self.shard_mb * 1e6))

    @property
    def plan_s(self) -> float:
        """Time of listing and planning, on the driver."""
        return self.images * PLAN_S_IMAGE

    @property
    def driver_bytes(self) -> float:
        """Memory of the driver."""
        return PROGRAM_BYTES + self.images * PLAN_BYTES_IMAGE

    @property
    def processes(self) -> int:
        """Number of processes that write shards: on one machine, one for each core."""
        return self.cores if self.workers == 1 else self.workers

    @property
    def work_s(self) -> float:
        """Time of writing the shards: the largest of CPU times and storage I/O."""
        # One core of a process does all work except decoding.
        one_core_s = self.images * (HEADER_S_IMAGE + self.kb * HEADER_S_KB) / self.processes
        decoding_s = self.images * (DECODE_S_IMAGE + self.kb * DECODE_S_KB) / self.workers
        all_cores_s = decoding_s / self.cores if self.decodes else 0
        cpu_s = max(one_core_s, all_cores_s)
        storage_s = 2 * self.images * self.kb * 1e3 * 8 / (self.gbit * 1e9)
        return max(cpu_s * self._last_wave, storage_s)

    @property
    def _last_wave(self) -> float:
        """Factor for indivisible shards: at the end some workers are idle."""
        each = self.shards / self.processes
        return math.ceil(each) / each

    @property
    def hours(self) -> float:
        """Total time, in hours."""
        return (self.plan_s + self.work_s + self.shards * COMMIT_S_SHARD) / 3600


def table() -> Iterator[str]:
    """Yield the lines of a Markdown table of example conversions."""
    yield "| images | kB | workers × cores | Gbit/s | shards | driver | hours, header | decode |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for images, kb, workers, cores, gbit in (
        (1e6, 110, 1, 2, 10),
        (1e7, 110, 1, 16, 10),
        (1e7, 110, 8, 2, 10),
        (1e7, 110, 16, 4, 10),
        (1e8, 110, 64, 4, 100),
        (1e8, 500, 64, 4, 100),
        (1e9, 110, 200, 8, 400),
        (1e9, 20, 200, 8, 400),
    ):
        header, decode = (
            Conversion(images, kb, workers, cores, gbit, decodes=d) for d in (False, True)
        )
        yield (
            f"| {images:,.0f} | {kb} | {workers} × {cores} | {gbit} | {header.shards:,} "
            f"| {header.driver_bytes / 1e9:,.1f} GB | {header.hours:,.1f} | {decode.hours:,.1f} |"
        )


@click.command()
@click.option("--images", type=float, help="Number of images.")
@click.option("--kb", type=float, default=110, show_default=True, help="Average kB of an image.")
@click.option("--workers", default=1, show_default=True, help="Processes that write shards.")
@click.option("--cores", default=2, show_default=True, help="Cores of each worker.")
@click.option("--gbit", type=float, default=10, show_default=True, help="Gbit/s of the storage.")
@click.option("--header", is_flag=True, help="Estimate --check header.")
@click.option("--write", is_flag=True, help="Write the page's table.")
@click.option("--check", is_flag=True, help="Fail if the page has another table.")
def main(*, images: float | None, write: bool, check: bool, header: bool, **given: float) -> None:
    """Print how long a conversion takes, or write or check the page's table."""
    if images is not None:
        one = Conversion(images, decodes=not header, **given)  # type: ignore[arg-type]
        click.echo(
            f"{one.hours:,.1f} hours: {one.plan_s / 3600:,.2f} listing and planning, "
            f"{one.work_s / 3600:,.2f} writing {one.shards:,} shards; "
            f"driver {one.driver_bytes / 1e9:.1f} GB"
        )
        return
    page = _PAGE.read_text()
    before, rest = page.split(_BEGIN)
    lines = "\n".join(table())
    filled = f"{before}{_BEGIN}\n{lines}\n\n{_END}{rest.split(_END)[1]}"
    if write:
        _PAGE.write_text(filled)
    if check and filled != page:
        sys.exit("docs/explanation/capacity-planning.md is outdated; run `make pages`")


if __name__ == "__main__":
    main()
