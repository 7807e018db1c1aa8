"""Errors while a shard is written; full disks are in tests/faults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import xxhash
from msgspec.structs import replace

from pipelines import run_state
from pipelines.planning.plan import ShardPlan
from pipelines.sources import SourceImage, reader
from pipelines.sources.containers.member import Encoding, Member
from pipelines.sources.reader import LocalFiles, UnreadableError
from pipelines.writing import shard
from records.errors import OutputError, StorageError
from records.format import layout
from records.storage import open_storage
from records.storage.retry import RetryPolicy
from tests.pipelines.conftest import Convert

SHARD = layout.shard_name("train", 0, 1)


def test_convert_worker_error_is_raised_unchanged(
    convert: Convert, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OutputError("cannot be written", path="there", got="this", hint="do that")

    with monkeypatch.context() as patched:
        patched.setattr(shard, "convert_images", failing)
        with pytest.raises(OutputError) as caught:
            convert()
    assert str(caught.value) == "there: cannot be written, got this; do that"
    assert convert().status == "converted"


def test_convert_too_many_open_files_raises_storage_error(
    convert: Convert, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.sources.reader.read_local_file", exhausted)
        with pytest.raises(StorageError, match="Too many open files") as caught:
            convert()
    assert caught.value.exit_code == 74
    assert not (output / layout.MANIFEST).exists()
    assert convert().counts.stored == 21


def test_convert_unexpected_exception_writes_no_manifest(
    convert: Convert, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shard, "convert_images", broken)
    with pytest.raises(ZeroDivisionError):
        convert()
    assert not (output / layout.MANIFEST).exists()


def test_convert_file_changed_after_listing_is_rejected_as_unreadable(
    convert: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = run_state.write_run

    def grow_first(*given: object, **named: object) -> None:
        real(*given, **named)  # type: ignore[arg-type]
        with (source / "cat" / "000.png").open("ab") as stream:
            stream.write(b"more")

    monkeypatch.setattr(run_state, "write_run", grow_first)
    report = convert()
    assert report.rejects_by_reason == {"unreadable": 1}


class TestReading:
    def test_source_reader_transient_error_is_retried(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = []
        real = reader.read_local_file

        def shaky(*given: Any, **named: Any) -> bytes:
            attempts.append(given)
            if len(attempts) < 3:
                raise OSError(5, "Input/output error")
            return real(*given, **named)

        monkeypatch.setattr("pipelines.sources.reader.read_local_file", shaky)
        monkeypatch.setattr(
            "pipelines.sources.reader.LOCAL_RETRY", RetryPolicy(3, first_wait_seconds=0)
        )
        files = LocalFiles(os.fsencode(source))
        content = (source / "cat" / "000.png").read_bytes()
        assert files.read(b"cat/000.png", len(content)) == content
        assert len(attempts) == 3

    @pytest.mark.parametrize("code", [5, 13])
    def test_source_reader_permanent_error_raises_unreadable_error(
        self, source: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        def failing(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr("pipelines.sources.reader.read_local_file", failing)
        monkeypatch.setattr(
            "pipelines.sources.reader.LOCAL_RETRY", RetryPolicy(3, first_wait_seconds=0)
        )
        with pytest.raises(UnreadableError, match=os.strerror(code)):
            LocalFiles(os.fsencode(source)).read(b"cat/000.png", 1)


def test_is_finished_depends_on_shard_and_plan_digest(convert: Convert, output: Path) -> None:
    digest = convert(output=str(output)).plan_digest
    storage, plan = open_storage(output), ShardPlan(SHARD, "train", digest, ())
    assert shard.is_finished(storage, plan)
    assert not shard.is_finished(storage, replace(plan, plan_digest="0" * 32))
    assert not shard.is_finished(storage, replace(plan, name=layout.shard_name("test", 0, 1)))


@pytest.mark.parametrize("encoding", ["stored", "array"])
def test_is_finished_depends_on_the_hashes_of_members(
    convert: Convert, source: Path, output: Path, encoding: Encoding
) -> None:
    """The hash of an array is not that of the image file that is made of it."""
    digest = convert(output=str(output), classes=("cat",)).plan_digest
    images = [
        SourceImage(
            b"cat/" + os.fsencode(path.name),
            0,
            path.stat().st_size,
            member=Member(
                0, 0, 9, encoding, xxh3_128=xxhash.xxh3_128_digest(path.read_bytes())
            ).encode(),
        )
        for path in (source / "cat").iterdir()
    ]
    plan = ShardPlan(SHARD, "train", digest, tuple(images))
    assert shard.is_finished(open_storage(output), plan)
    other = replace(images[3], member=Member(0, 0, 9, encoding, xxh3_128=bytes(16)).encode())
    changed = replace(plan, images=(*images[:3], other, *images[4:]))
    assert shard.is_finished(open_storage(output), changed) == (encoding == "array")
