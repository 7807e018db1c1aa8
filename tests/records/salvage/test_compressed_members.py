"""What `salvage` keeps of a compressed file of several members, one of which is damaged."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from typing import TYPE_CHECKING

import pytest

import records
from records.format.shard import read_shard
from records.format.tfrecord import frame_bytes
from records.integrity import compressed_parts
from records.integrity.compressed_parts import open_until_damage
from records.integrity.findings import Finding
from records.integrity.resilient_reader import read_skipping_damage
from records.salvage import salvage
from records.storage import open_storage

if TYPE_CHECKING:
    from pathlib import Path

    from records.salvage import SalvageReport

COMPRESS = {"gzip": lambda data: gzip.compress(data, mtime=0), "zlib": zlib.compress}
HEADER_BYTES = {"gzip": 10, "zlib": 2}
CHECKSUM_BYTES = {"gzip": 8, "zlib": 4}
RECORDS_PER_MEMBER = 4


def make_records(count: int) -> list[bytes]:
    generator = random.Random(count)
    return [generator.randbytes(100) + bytes(generator.randrange(40, 200)) for _ in range(count)]


def salvaged(path: Path, content: bytes) -> tuple[list[bytes], SalvageReport]:
    path.write_bytes(content)
    output = path.with_suffix(".out")
    output.unlink(missing_ok=True)
    report = salvage(path, output)
    verified = [finding for finding in records.verify(path) if finding.kind != "example"]
    assert report.findings == tuple(verified)
    frames = read_shard(open_storage(output.parent), output.name)
    return [frame.payload for frame in frames], report


def damaged(content: bytes, begin: int, end: int, where: str, kind: str) -> bytes:
    """Return the content with damage in the member between two offsets."""
    places = {
        "method": begin + HEADER_BYTES[kind] // 4,
        "data": (begin + end) // 2,
        "early data": begin + HEADER_BYTES[kind] + 20,
        "checksum": end - CHECKSUM_BYTES[kind],
        "last byte": end - 1,
    }
    changed = bytearray(content)
    changed[places[where]] ^= 0x55
    return bytes(changed)


@pytest.mark.parametrize("where", ["method", "early data", "data", "checksum", "last byte"])
@pytest.mark.parametrize(
    ("members", "broken"), [(count, one) for count in range(1, 5) for one in range(count)]
)
@pytest.mark.parametrize("kind", COMPRESS)
def test_salvage_damaged_member_loses_only_its_own_records(
    tmp_path: Path, kind: str, members: int, broken: int, where: str
) -> None:
    payloads = make_records(members * RECORDS_PER_MEMBER)
    parts = [
        COMPRESS[kind](b"".join(map(frame_bytes, payloads[at : at + RECORDS_PER_MEMBER])))
        for at in range(0, len(payloads), RECORDS_PER_MEMBER)
    ]
    begin = sum(map(len, parts[:broken]))
    end = begin + len(parts[broken])
    if where == "method" and broken == 0 and kind == "zlib":
        pytest.skip("the file no longer looks like ZLIB")
    found, report = salvaged(tmp_path / "a", damaged(b"".join(parts), begin, end, where, kind))
    before = payloads[: broken * RECORDS_PER_MEMBER]
    own = payloads[len(before) : len(before) + RECORDS_PER_MEMBER]
    after = payloads[len(before) + RECORDS_PER_MEMBER :]
    kept = found[len(before) : len(found) - len(after)]
    assert found == before + kept + after
    assert [record for record in own if record in kept] == kept
    kinds = [finding.kind for finding in report.findings]
    assert kinds.count("compression") == 1
    lost_bytes = next(each.lost_bytes for each in report.findings if each.kind == "compression")
    if where in {"checksum", "last byte"}:
        assert (kept, report.lost, lost_bytes) == (own, (), None)
        return
    assert report.lost
    assert len(kept) < len(own)
    if lost_bytes is not None:
        assert lost_bytes <= end - begin
        assert sum(part.compressed_bytes or 0 for part in report.lost) == lost_bytes
        assert "lost" in repr(report)


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("members", [1, 2, 3])
def test_salvage_file_cut_anywhere_never_says_that_nothing_was_lost(
    tmp_path: Path, kind: str, members: int
) -> None:
    payloads = make_records(members * 2)
    parts = [
        COMPRESS[kind](b"".join(map(frame_bytes, payloads[at : at + 2])))
        for at in range(0, len(payloads), 2)
    ]
    content, last = b"".join(parts), len(b"".join(parts[:-1]))
    for size in range(last + 3, len(content), 7):
        found, report = salvaged(tmp_path / "a", content[:size])
        assert found == payloads[: len(found)]
        assert len(found) >= len(payloads) - 2
        assert [finding.kind for finding in report.findings] == ["compression"]
        assert report.lost
        assert "nothing" not in report.lines()[-1].rpartition(":")[2]


@pytest.mark.parametrize("count", [3, 4, 5, 7])
def test_salvage_members_that_begin_inside_a_record_are_found_by_their_checksum(
    tmp_path: Path, count: int
) -> None:
    payloads = make_records(16)
    plain = b"".join(map(frame_bytes, payloads))
    step = len(plain) // count + 1
    parts = [gzip.compress(plain[at : at + step]) for at in range(0, len(plain), step)]
    content = bytearray(b"".join(parts))
    content[len(parts[0]) + len(parts[1]) // 2] ^= 0x55
    found, report = salvaged(tmp_path / "a", bytes(content))
    assert found[0] == payloads[0]
    after = len(plain) - 2 * step - 400  # without the record that began in the damaged member
    assert sum(map(len, found[1:])) > after > 0
    assert found == [record for record in payloads if record in found]
    assert [finding.kind for finding in report.findings].count("compression") == 1


def test_salvage_findings_after_a_damaged_member_have_the_number_and_offset_of_their_record(
    tmp_path: Path,
) -> None:
    frames = [bytearray(frame_bytes(payload)) for payload in make_records(6)]
    frames[4][20] ^= 1
    plain = [b"".join(frames[at : at + 2]) for at in (0, 2, 4)]
    content = gzip.compress(plain[0]) + b"junk" * 9 + gzip.compress(plain[1] + plain[2])
    found, report = salvaged(tmp_path / "a", content)
    assert len(found) == 5
    places = [(each.kind, each.record, each.offset) for each in report.findings]
    end = len(plain[0])
    assert places == [
        ("compression", None, end),
        ("payload-checksum", 4, end + len(plain[1])),
    ]


@pytest.mark.parametrize("junk", [b"\0" * 100, b"\x1f\x8b\x08\0" * 50, b"\x1f\x8b" * 3])
def test_salvage_bytes_between_members_are_lost_and_counted(tmp_path: Path, junk: bytes) -> None:
    payloads = make_records(4)
    parts = [gzip.compress(b"".join(map(frame_bytes, payloads[at : at + 2]))) for at in (0, 2)]
    found, report = salvaged(tmp_path / "a", parts[0] + junk + parts[1])
    assert found == payloads
    assert [part.compressed_bytes for part in report.lost] == [len(junk)]
    found, report = salvaged(tmp_path / "b", parts[0] + parts[1] + junk)
    assert found == payloads
    assert [part.compressed_bytes for part in report.lost] == [len(junk)]


class CountingStream(io.BytesIO):
    """A file that counts the bytes that are read."""

    bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def stored(data: bytes) -> bytes:
    """Return a block of DEFLATE that is not compressed and not the last."""
    length = len(data).to_bytes(2, "little")
    return b"\0" + length + bytes(byte ^ 0xFF for byte in length) + data


HEADER = b"\x1f\x8b\x08" + bytes(7)
MEMBER = HEADER + stored(frame_bytes(b"x"))


@pytest.mark.parametrize("unit", [MEMBER, stored(MEMBER)], ids=["damaged", "nested"])
def test_search_for_thousands_of_members_reads_each_byte_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch, unit: bytes
) -> None:
    monkeypatch.setattr(compressed_parts, "_REREAD_BYTES", 0)
    count = 2000  # nested members all continue to the end of the file
    stream = CountingStream(HEADER + unit * count)
    found = list(read_skipping_damage(open_until_damage(stream), "a"))
    assert any(isinstance(item, Finding) for item in found)
    assert stream.bytes_read < count * (1 << 14)


@pytest.mark.parametrize(
    "content",
    [b"", gzip.compress(b""), zlib.compress(b""), gzip.compress(b"") * 3],
    ids=["plain", "gzip", "zlib", "members"],
)
def test_salvage_and_verify_empty_file_is_a_finding(tmp_path: Path, content: bytes) -> None:
    found, report = salvaged(tmp_path / "a", content)
    assert (found, report.lost) == ([], ())
    assert [finding.kind for finding in report.findings] == ["empty"]
    assert report.lines()[-1].endswith("nothing to salvage")
