"""Tables of the reading benchmarks."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.inputs.pictures import PHOTOS
from benchmarks.page import statistics
from benchmarks.page.tables import markdown, present, times_as_fast
from benchmarks.suites import accelerators, jpeg_decoders, raw_shares, reading, remote_reading

if TYPE_CHECKING:
    from benchmarks.harness.samples import Result

_TITLES = {PHOTOS: "Whole photos, resized:", reading.CROPS: "Random crops, resized and flipped:"}
_LEAST_BUSY = 0.9
_PICTURE = "![More raw images need more space, and are read faster](../pictures/raw-shares.png)"


def reading_table(result: Result) -> str:
    """Return tables of the images per second in an epoch, and the ratios to the originals."""
    return "\n\n".join(
        f"{_TITLES[case]}\n\n{_reading_case(result, case)}" for case in result.cases()
    )


def _reading_case(result: Result, case: str) -> str:
    rows = []
    for name in present(result, case):
        peak = statistics.median(result.of(case), name, statistics.peak_bytes)
        ratio = times_as_fast(result, case, reading.ORIGINALS, name)
        rows.append([name, f"{_rate(result, case, name):,.0f}", ratio, f"{peak / 1e6:,.0f}"])
    return markdown(["program", "images/s", "originals ÷ program", "peak MB"], rows)


def jpeg_decoders_table(result: Result) -> str:
    """Return a table of the milliseconds to decode and to resize a photo, by decoder."""
    (case,) = result.cases()
    measured = set(statistics.names_of(result.samples))
    rows = []
    for decoder, pieces in jpeg_decoders.PIECES.items():
        if measured.issuperset(pieces):
            decode, both = (1e3 / _rate(result, case, piece) for piece in pieces)
            rows.append([decoder.name, *(f"{ms:.2f}" for ms in (decode, both - decode, both))])
    return markdown(["decoder", "decode ms", "resize ms", "both ms"], rows)


def remote_reading_table(result: Result) -> str:
    """Return a table of images and megabytes per second from S3, and the ratios, by case."""
    rows = []
    for name in statistics.names_of(result.samples):
        row = [name]
        for case in result.cases():
            if case == remote_reading.BYTES and name == remote_reading.COPIED:
                row += ["", "", ""]  # The copies are measured only with decoding.
                continue
            sample, rate = result.of(case)[0], _rate(result, case, name)
            ratio = times_as_fast(result, case, remote_reading.STREAMED, name)
            megabytes = rate * sample.bytes / sample.images / 1e6
            row += [f"{rate:,.0f}", f"{megabytes:,.0f}", ratio]
        rows.append(row)
    heads = [
        head
        for case in result.cases()
        for head in (f"{case}: images/s", "MB/s", "shardmill ÷ program")
    ]
    return markdown(["program", *heads], rows)


class RawSharePoint(NamedTuple):
    """Share of raw images, size of a stored image in kB, and images read per second."""

    share: str
    kilobytes: float
    rate: float


def raw_share_points(result: Result) -> list[RawSharePoint]:
    """Return the size and the speed of every measured share, in ascending order."""
    (case,) = result.cases()
    samples = result.of(case)
    stored = {each.contestant: each.figures["stored_bytes"] for each in samples}
    return [
        RawSharePoint(share, stored[share] / samples[0].images / 1e3, _rate(result, case, share))
        for share in raw_shares.SHARES
        if share in stored
    ]


def raw_shares_table(result: Result) -> str:
    """Return a table and a picture of the size of an image and the speed, by share."""
    points = raw_share_points(result)
    rows = [
        [
            each.share,
            f"{each.kilobytes:,.1f}",
            f"{each.kilobytes / points[0].kilobytes:.2f}",
            f"{each.rate:,.0f}",
            f"{each.rate / points[0].rate:.2f}",
        ]
        for each in points
    ]
    heads = ["--raw-share", "kB per image", f"× {points[0].share}"]
    table = markdown([*heads, "images/s", f"× {points[0].share}"], rows)
    return f"{table}\n\n{_PICTURE}"


def accelerators_table(result: Result) -> str:
    """Return tables of the share of time that accelerators are busy, by reader and number."""
    return "\n\n".join(f"{case}:\n\n{_accelerators_case(result, case)}" for case in result.cases())


def _accelerators_case(result: Result, case: str) -> str:
    shares = {name: busy_shares(result, case, name) for name in accelerators.READERS}
    counts = range(1, max(map(len, shares.values())) + 1)
    rows = []
    for name, busy in shares.items():
        kept = max((count for count, share in busy.items() if share >= _LEAST_BUSY), default=0)
        cells = (f"{busy[count]:.0%}" if count in busy else "" for count in counts)
        rows.append([name, f"**{kept}**", *cells])
    return markdown(["program", f"at least {_LEAST_BUSY:.0%} busy", *map(str, counts)], rows)


def busy_shares(result: Result, case: str, name: str) -> dict[int, float]:
    """Return the median share of time that accelerators are busy, by their number."""
    rounds = [each.figures for each in result.of(case) if each.contestant == name]
    most = min(map(len, rounds))
    figures = ((count, accelerators.busy_figure(count)) for count in range(1, most + 1))
    return {count: median(each[figure] for each in rounds) for count, figure in figures}


def _rate(result: Result, case: str, name: str) -> float:
    samples = result.of(case)
    return samples[0].images / statistics.median(samples, name, statistics.work_seconds)
