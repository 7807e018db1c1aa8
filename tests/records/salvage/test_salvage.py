"""What `salvage` keeps, what it says is lost, and what it leaves behind."""

from __future__ import annotations

import errno
import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import records
from records.cli.salvage import salvage as command
from records.errors import InputNotFoundError, OutputError, ShardmillError, UsageError
from records.format.shard import read_shard
from records.format.tfrecord import frame_bytes
from records.salvage import salvage
from records.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from records.integrity.findings import Finding

SHARD = "train-00001-of-00002.tfrecord"
PAYLOADS = [b"record %d " % number * 5 for number in range(6)]


@pytest.fixture
def shard(build_dataset: Callable[..., Path]) -> Path:
    """A shard of seven records, with its index."""
    return build_dataset() / SHARD


def payloads(path: Path) -> list[bytes]:
    return [frame.payload for frame in read_shard(open_storage(path.parent), path.name)]


def damage(path: Path, *places: int) -> None:
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 1
    path.write_bytes(content)


def damages(path: Path) -> tuple[Finding, ...]:
    """What `verify` finds, but that these records are no Examples."""
    return tuple(finding for finding in records.verify(path) if finding.kind != "example")


def test_salvage_intact_shard_writes_identical_copy(shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tfrecord"
    report = salvage(shard, out)
    assert out.read_bytes() == shard.read_bytes()
    assert (report.records, report.lost_records, report.lost, report.findings) == (7, 0, (), ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.tfrecord"]


def test_salvage_damaged_records_are_reported_like_verify(shard: Path, tmp_path: Path) -> None:
    frames = list(read_shard(open_storage(shard.parent), SHARD))
    keys = [record.key for record in records.open_dataset(shard.parent)["train"]][5:]
    damage(shard, frames[2].offset + 20, frames[4].offset, frames[5].offset)
    report = salvage(shard, tmp_path / "out")
    assert payloads(tmp_path / "out") == [frames[number].payload for number in (0, 1, 3, 6)]
    assert report.findings == tuple(records.verify(shard.parent))
    assert [(loss.offset, loss.keys) for loss in report.lost] == [
        (frames[2].offset, (keys[2],)),
        (frames[4].offset, (keys[4], keys[5])),
    ]
    ends = [loss.offset + loss.bytes for loss in report.lost]
    assert ends == [frames[3].offset, frames[6].offset]
    assert report.lost_records == 3


def test_salvage_moved_records_are_matched_by_key(shard: Path, tmp_path: Path) -> None:
    frames = list(read_shard(open_storage(shard.parent), SHARD))
    content = shard.read_bytes()
    shard.write_bytes(content[: frames[1].offset] + b"junk" * 9 + content[frames[2].offset :])
    report = salvage(shard, tmp_path / "out")
    assert payloads(tmp_path / "out") == [f.payload for n, f in enumerate(frames) if n != 1]
    assert [(loss.offset, loss.bytes, len(loss.keys)) for loss in report.lost] == [
        (frames[1].offset, 36, 1)
    ]


def test_salvage_records_missing_between_frames_are_reported_from_index(
    shard: Path, tmp_path: Path
) -> None:
    frames = list(read_shard(open_storage(shard.parent), SHARD))
    content = shard.read_bytes()
    shard.write_bytes(content[: frames[1].offset] + content[frames[3].offset :])
    report = salvage(shard, tmp_path / "out")
    assert [(loss.offset, loss.bytes, len(loss.keys)) for loss in report.lost] == [
        (frames[1].offset, 0, 2)
    ]
    assert [finding.kind for finding in report.findings] == ["record-count"]


def test_salvage_third_party_file_skips_damaged_range(tmp_path: Path) -> None:
    path, out = tmp_path / "a.record", tmp_path / "out.record"
    frames = list(map(frame_bytes, PAYLOADS))
    path.write_bytes(b"".join(frames[:2]) + bytes(500) + b"".join(frames[3:]))
    report = salvage(path, out)
    assert payloads(out) == PAYLOADS[:2] + PAYLOADS[3:]
    assert (report.index, report.lost_records) == (None, None)
    assert [(loss.offset, loss.bytes) for loss in report.lost] == [(len(b"".join(frames[:2])), 500)]
    assert report.findings == damages(path)


@pytest.mark.parametrize("cut", [40, 80, 120])
def test_salvage_truncated_gzip_keeps_records_before_the_cut(tmp_path: Path, cut: int) -> None:
    path, out = tmp_path / "a.gz", tmp_path / "out"
    noise = [bytes(range(number, number + 200)) for number in range(6)]
    path.write_bytes(gzip.compress(b"".join(map(frame_bytes, noise)))[:-cut])
    report = salvage(path, out)
    assert payloads(out) == noise[: report.records]
    assert report.records < len(noise)
    assert [finding.kind for finding in report.findings] == ["compression"]
    assert report.findings == damages(path)


def test_salvage_damaged_frames_in_intact_gzip_are_skipped(tmp_path: Path) -> None:
    content = bytearray(b"".join(map(frame_bytes, PAYLOADS)))
    content[0] ^= 1
    content[-1] ^= 1
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    report = salvage(tmp_path / "a.gz", tmp_path / "out")
    assert payloads(tmp_path / "out") == PAYLOADS[1:-1]
    assert sum(loss.bytes for loss in report.lost) + report.bytes == len(content)


def test_salvage_impossible_length_is_one_finding(tmp_path: Path) -> None:
    import struct

    from records.format.tfrecord import masked_crc32c

    for length in (1 << 63, (1 << 30) + 1, 1 << 20):
        header = struct.pack("<Q", length)
        header += struct.pack("<I", masked_crc32c(header))
        (tmp_path / "a").write_bytes(frame_bytes(b"1") + header + frame_bytes(b"2"))
        report = salvage(tmp_path / "a", tmp_path / f"out-{length}")
        assert payloads(tmp_path / f"out-{length}") == [b"1", b"2"]
        assert [finding.offset for finding in report.findings] == [17]
        assert report.findings[0].kind in {"too-long", "truncated"}


def test_salvage_dry_run_writes_nothing(shard: Path, tmp_path: Path) -> None:
    damage(shard, 0)
    report = salvage(shard, tmp_path / "out", dry_run=True)
    assert (report.records, report.output, report.lost_records) == (6, None, 1)
    assert not (tmp_path / "out").exists()


def test_salvage_damaged_index_is_ignored_and_reported(shard: Path, tmp_path: Path) -> None:
    (shard.parent / "index" / SHARD).with_suffix(".parquet").write_bytes(b"nothing")
    report = salvage(shard, tmp_path / "out")
    assert (report.index, report.records) == (None, 7)
    assert [finding.kind for finding in report.findings] == ["index-damaged"]


class TestRefusals:
    def test_salvage_existing_output_raises_output_error(self, shard: Path, tmp_path: Path) -> None:
        (tmp_path / "out").write_bytes(shard.read_bytes())
        for taken in (tmp_path / "out", shard, shard.parent):
            with pytest.raises(OutputError, match="already"):
                salvage(shard, taken)

    def test_salvage_missing_input_raises_input_not_found(self, tmp_path: Path) -> None:
        with pytest.raises(InputNotFoundError, match="file not found"):
            salvage(tmp_path / "a", tmp_path / "out")

    def test_salvage_dataset_folder_raises_usage_error(self, shard: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="one TFRecord file"):
            salvage(shard.parent, tmp_path / "out")


def test_salvage_command_damaged_shard_exits_with_status_1(shard: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(command, [str(shard), str(tmp_path / "whole")]).exit_code == 0
    damage(shard, 0)
    result = run(command, [str(shard), str(tmp_path / "text")])
    assert result.exit_code == 1
    assert "lost  " in result.output
    assert "6 intact records" in result.output
    result = run(command, [str(shard), str(tmp_path / "json"), "--json"])
    assert json.loads(result.stdout)["lost_records"] == 1


_WRITE_UNTIL_KILLED = """
import sys
from records.storage.exclusive import create_exclusive
with create_exclusive(sys.argv[1]) as staged:
    staged.write(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_salvage_removes_staged_files_of_killed_process_and_keeps_those_of_live_one(
    tmp_path: Path,
) -> None:
    def staged() -> list[str]:
        return [path.name for path in tmp_path.glob(".shardmill/staging/*")]

    source = tmp_path / "a.tfrecord"
    source.write_bytes(b"")
    command = [sys.executable, "-c", _WRITE_UNTIL_KILLED, str(tmp_path / "other.tfrecord")]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        salvage(source, tmp_path / "1.tfrecord")
        assert len(staged()) == 1
        process.kill()
    salvage(source, tmp_path / "2.tfrecord")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1.tfrecord", "2.tfrecord", "a.tfrecord",
    ]  # fmt: skip


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_salvage_failed_write_does_not_claim_that_work_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    (tmp_path / "a.tfrecord").write_bytes(b"")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("records.storage.local._flush", fail)
    with pytest.raises(ShardmillError) as caught:
        salvage(tmp_path / "a.tfrecord", tmp_path / "out")
    assert "kept" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tfrecord"]
