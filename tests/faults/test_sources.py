"""Sources that change, vanish or fail during conversion, and deadly decoders."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.sources import reader
from pipelines.writing import shard
from records import verify
from records.dataset import open_dataset
from records.errors import StorageError
from records.format import layout
from records.storage.retry import RetryPolicy
from tests.faults import deadly_decoder
from tests.faults.conftest import OPTIONS, STORED
from tests.pipelines.conftest import Convert, rejects_of
from tests.pipelines.pictures import content_of, make_file, make_picture

ROOT = Path(__file__).parents[2]
Happen = Callable[[Callable[[], object]], None]
KEYS = ("cat/001.png", "dog/004.png")


@pytest.fixture
def between_plan_and_writing(monkeypatch: pytest.MonkeyPatch) -> Happen:
    """Run a function once, when the first shard is about to be written."""

    def happen(what: Callable[[], object]) -> None:
        real = shard.convert_images
        happened: list[bool] = []

        def late(*given: object) -> None:
            if not happened:
                happened.append(True)
                what()
            real(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(shard, "convert_images", late)

    return happen


class TestWhileItIsConverted:
    @pytest.fixture(autouse=True)
    def _expected(self, expected: dict[str, bytes]) -> None:
        self.expected = expected

    def test_convert_deleted_source_files_are_rejected_as_unreadable(
        self, convert: Convert, source: Path, output: Path, between_plan_and_writing: Happen
    ) -> None:
        kept = {key: (source / key).read_bytes() for key in KEYS}

        def delete() -> None:
            for key in KEYS:
                (source / key).unlink()

        between_plan_and_writing(delete)
        report = convert(**OPTIONS)
        assert report.rejects_by_reason == {"corrupt": 1, "unreadable": len(KEYS)}
        assert {key: rejects_of(output)[key] for key in KEYS} == dict.fromkeys(KEYS, "unreadable")
        assert report.counts.stored == STORED - len(kept)
        assert list(verify(output, decode=True)) == []

    def test_convert_source_unmounted_raises_storage_error_and_rerun_completes(
        self, convert: Convert, source: Path, output: Path, between_plan_and_writing: Happen
    ) -> None:
        """As with a network drive: nothing is published, and once it is back, a rerun resumes."""
        away = source.with_name("away")
        between_plan_and_writing(lambda: source.rename(away))
        with pytest.raises(StorageError, match="does not see the source"):
            convert(**OPTIONS)
        assert not (output / layout.MANIFEST).exists()
        away.rename(source)
        convert(**OPTIONS)
        assert content_of(output) == self.expected

    def test_convert_source_file_of_changed_size_is_rejected_as_unreadable(
        self, convert: Convert, source: Path, output: Path, between_plan_and_writing: Happen
    ) -> None:
        """A file of another length than planned is rejected, and only that one."""
        longer, same = KEYS
        between_plan_and_writing(lambda: make_file(source, longer, make_picture(9, size=(9, 9))))
        convert(**OPTIONS)
        assert rejects_of(output)[longer] == "unreadable"
        assert same not in rejects_of(output)
        assert list(verify(output, decode=True)) == []

    def test_convert_source_io_error_is_rejected_as_unreadable(
        self, convert: Convert, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "pipelines.sources.reader.LOCAL_RETRY", RetryPolicy(3, first_wait_seconds=0)
        )
        with monkeypatch.context() as broken:
            broken.setattr(reader, "read_local_file", _failing_for(os.fsencode(KEYS[0])))
            report = convert(**OPTIONS)
        assert report.rejects_by_reason == {"corrupt": 1, "unreadable": 1}
        assert "Input/output error" in (output / layout.REJECTS).read_text()


def _failing_for(key: bytes) -> Callable[[bytes, int, int], bytes]:
    real = reader.read_local_file

    def reading(path: bytes, size_bytes: int, offset: int = 0) -> bytes:
        if path.endswith(key):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, size_bytes, offset)

    return reading


@pytest.mark.slow
def test_convert_crashing_decoder_rejects_image_on_second_run(source: Path, output: Path) -> None:
    """The first run dies of the image; the next one rejects it."""
    make_file(source, "cat/deadly.png", deadly_decoder.PICTURE)
    command: list[str | Path] = [
        sys.executable,
        deadly_decoder.__file__,
        "convert",
        source,
        output,
        "--quiet",
    ]

    def run() -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert run().returncode == -signal.SIGABRT
    assert not (output / layout.MANIFEST).exists()
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert rejects_of(output) == {"cat/deadly.png": "corrupt"}
    assert len(open_dataset(output)["train"]) == STORED
