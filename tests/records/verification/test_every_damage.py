"""A converted shard cut at every length, and with every bit flipped.

Nothing escapes `verify`, and `salvage` returns every record that the damage did not touch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

import records
from pipelines import convert
from pipelines.options import ConvertOptions
from records.format.shard import read_shard
from records.format.tfrecord import FOOTER_BYTES, HEADER_BYTES
from records.salvage import SalvageReport, salvage
from records.storage import open_storage
from tests.datasets import make_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from records.format.tfrecord import Frame

SHARD = "train-00000-of-00001.tfrecord"


class Victim(NamedTuple):
    """A dataset of one shard, what the shard holds, and a copy of the shard without its index."""

    folder: Path
    content: bytes
    frames: list[Frame]
    keys: list[str]
    alone: Path

    def ends(self) -> list[int]:
        """Where each record's frame ends."""
        return [*(frame.offset for frame in self.frames[1:]), len(self.content)]


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here, and waiting for the disk is most of the time."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    tmp_path = tmp_path_factory.mktemp("damage")
    for source in make_sources(5):
        path = tmp_path / "photos" / source.key.decode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.data)
    folder = tmp_path / "data"
    convert.convert(ConvertOptions(source=str(tmp_path / "photos"), output=str(folder)))
    frames = list(read_shard(open_storage(folder), SHARD))
    keys = [record.key for record in records.open_dataset(folder)["train"]]
    alone = tmp_path / "alone"
    alone.mkdir()
    return Victim(folder, (folder / SHARD).read_bytes(), frames, keys, alone / "shard.tfrecord")


def check(victim: Victim, damaged: bytes, touched: set[int]) -> None:
    """The damage is found, and costs what it touched, with the index and without."""
    (victim.folder / SHARD).write_bytes(damaged)
    victim.alone.write_bytes(damaged)
    findings = list(records.verify(victim.folder))
    assert findings
    kept = [frame for number, frame in enumerate(victim.frames) if number not in touched]
    report = salvage_and_compare(victim.folder / SHARD, kept)
    assert report.findings == tuple(findings) or [f.kind for f in findings] == ["record-count"]
    assert [finding.kind for finding in report.findings] == [finding.kind for finding in findings]
    lost = [key for loss in report.lost for key in loss.keys]
    assert lost == [victim.keys[number] for number in sorted(touched)]
    report = salvage_and_compare(victim.alone, kept)
    assert report.findings == tuple(records.verify(victim.alone))


def salvage_and_compare(shard: Path, kept: list[Frame]) -> SalvageReport:
    out = shard.parent.parent / "out.tfrecord"
    report = salvage(shard, out)
    saved = [frame.payload for frame in read_shard(open_storage(out.parent), out.name)]
    out.unlink()
    assert saved == [frame.payload for frame in kept]
    assert report.records == len(kept)
    return report


def check_cut(victim: Victim, length: int) -> None:
    touched = {number for number, end in enumerate(victim.ends()) if end > length}
    check(victim, victim.content[:length], touched)


def check_bit(victim: Victim, bit: int) -> None:
    damaged = bytearray(victim.content)
    damaged[bit // 8] ^= 1 << bit % 8
    number = next(n for n, end in enumerate(victim.ends()) if bit // 8 < end)
    check(victim, bytes(damaged), {number})


def framing_bits(victim: Victim, record: int) -> Iterator[int]:
    """The bits of a record's length and checksums."""
    begin, end = victim.frames[record].offset, victim.ends()[record]
    yield from range(begin * 8, (begin + HEADER_BYTES) * 8)
    yield from range((end - FOOTER_BYTES) * 8, end * 8)


def test_salvage_and_verify_sampled_truncations_keep_intact_records(victim: Victim) -> None:
    boundaries = [0, *victim.ends()[:-1]]
    near = {boundary + step for boundary in boundaries for step in (0, 1, 12)}
    for length in sorted(near | set(range(0, len(victim.content), 97))):
        check_cut(victim, length)


def test_salvage_and_verify_sampled_bit_flips_keep_intact_records(victim: Victim) -> None:
    for bit in sorted({*framing_bits(victim, 2), *range(0, len(victim.content) * 8, 397)}):
        check_bit(victim, bit)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_salvage_and_verify_every_truncation_keeps_intact_records(victim: Victim) -> None:
    for length in range(len(victim.content)):
        check_cut(victim, length)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("bit", range(8))
def test_salvage_and_verify_every_bit_flip_keeps_intact_records(victim: Victim, bit: int) -> None:
    for byte in range(len(victim.content)):
        check_bit(victim, byte * 8 + bit)
