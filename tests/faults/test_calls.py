"""Conversions that die or fail at any call that accesses files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from records import verify
from records.errors import OutputError, ShardmillError, StorageError
from records.format import layout
from records.storage import atomic
from records.storage.retry import RetryPolicy
from tests.faults.calls import Faults, KilledError
from tests.faults.conftest import OPTIONS, STORED
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of

pytestmark = pytest.mark.usefixtures("without_helper_processes")
FULL, READ_ONLY, BROKEN = errno.ENOSPC, errno.EROFS, errno.EIO
EVERY = pytest.param(1, marks=pytest.mark.slow)


def die() -> None:
    raise KilledError


def failing_with(code: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    return fail


def count_calls(faults: Faults, convert: Convert, output: Path) -> int:
    with faults.at(None, die):
        convert(**OPTIONS, output=str(output))
    return faults.calls


def exit_code(convert: Convert, output: Path) -> int:
    """Return the exit status of a conversion, which succeeds or raises a ShardmillError."""
    try:
        convert(**OPTIONS, output=str(output))
    except ShardmillError as error:
        return error.exit_code
    return 0


def require_whole_or_absent(output: Path) -> None:
    if (output / layout.MANIFEST).exists():
        assert list(verify(output)) == []


@pytest.mark.parametrize("step", [13, EVERY])
def test_convert_killed_at_any_call_then_rerun_gives_same_dataset(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    faults = Faults(monkeypatch, "change", "removal")
    calls = count_calls(faults, convert, tmp_path / "all")
    assert calls > 100
    for number in range(1, calls + 1, step):
        output = tmp_path / f"{number}"
        with faults.at(number, die), pytest.raises(KilledError):
            convert(**OPTIONS, output=str(output))
        require_whole_or_absent(output)
        report = convert(**OPTIONS, output=str(output))
        counts = report.counts
        assert counts.stored == (STORED if report.status == "converted" else 0)
        assert counts.stored + counts.rejected + counts.known == STORED + 1
        assert (output / layout.FINGERPRINTS).exists()
        assert content_of(output) == expected, number


def test_convert_killed_twice_then_rerun_gives_same_dataset(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = Faults(monkeypatch, "change", "removal")
    calls = count_calls(faults, convert, tmp_path / "all")
    for number in range(10, calls, 29):
        output = tmp_path / f"{number}"
        with faults.at(number, die), pytest.raises(KilledError):
            convert(**OPTIONS, output=str(output))
        # A run that had nearly finished may make fewer calls than these.
        with faults.at(number // 2, die), suppress(KilledError):
            convert(**OPTIONS, output=str(output))
        require_whole_or_absent(output)
        convert(**OPTIONS, output=str(output))
        assert content_of(output) == expected, number


@pytest.mark.parametrize("code", [FULL, errno.EDQUOT, READ_ONLY, errno.EACCES, BROKEN])
def test_convert_output_fails_from_any_call_on_raises_and_rerun_completes(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    faults = Faults(monkeypatch, "change")
    calls = count_calls(faults, convert, tmp_path / "all")
    kind = StorageError if code == BROKEN else OutputError
    for number in range(1, calls + 1, 9 if code == FULL else 29):
        output = tmp_path / f"{number}"
        with faults.at(number, failing_with(code)), pytest.raises(kind) as caught:
            convert(**OPTIONS, output=str(output))
        assert "cannot be written" in str(caught.value)
        assert not list(output.glob(f"{layout.WORK_FOLDER}/staging/*")), number
        convert(**OPTIONS, output=str(output))
        assert content_of(output) == expected, number


@pytest.mark.parametrize("code", [FULL, READ_ONLY, BROKEN])
def test_convert_sampled_single_write_error_leaves_resumable_output(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    require_no_harm_of_one(Faults(monkeypatch, "change", "removal"), convert, tmp_path, code, 29)


@pytest.mark.slow
@pytest.mark.parametrize("code", [FULL, READ_ONLY, BROKEN])
def test_convert_each_single_write_error_leaves_resumable_output(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    require_no_harm_of_one(Faults(monkeypatch, "change", "removal"), convert, tmp_path, code, 1)


def require_no_harm_of_one(
    faults: Faults, convert: Convert, folder: Path, code: int, step: int
) -> None:
    """Require that a run survives or reports one failure, and leaves an output that resumes."""
    calls = count_calls(faults, convert, folder / "all")
    failed = 0
    for number in range(1, calls + 1, step):
        output = folder / f"{number}"
        with faults.at(number, failing_with(code), once=True):
            status = exit_code(convert, output)
        assert status in {0, 74 if code == BROKEN else 73}, number
        failed += bool(status)
        require_whole_or_absent(output)
        convert(**OPTIONS, output=str(output))
        assert content_of(output) == content_of(folder / "expected"), number
    assert failed > calls // step // 2


@pytest.mark.parametrize("once", [True, False])
def test_convert_read_error_is_retried_rejected_or_raised(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    once: bool,
) -> None:
    """A failed read of the source is retried, else rejected; of the output it is an error."""
    monkeypatch.setattr(
        "pipelines.sources.reader.LOCAL_RETRY", RetryPolicy(3, first_wait_seconds=0)
    )
    faults = Faults(monkeypatch, "read")
    calls = count_calls(faults, convert, tmp_path / "all")
    assert calls > STORED
    for number in range(1, calls + 1, 3 if once else 9):
        output = tmp_path / f"{number}"
        with faults.at(number, failing_with(BROKEN), once=once):
            status = exit_code(convert, output)
        assert status in ({0, 74} if once else {65, 74}), number
        require_whole_or_absent(output)
        convert(**OPTIONS, output=str(output))
        assert content_of(output) == expected, number


def test_convert_fsync_error_after_index_is_linked_raises_output_error(
    convert: Convert, tmp_path: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync of a folder may fail after the new index is linked: the other shards then wait."""
    sync = atomic.fsync

    def fail_for_an_index(folder: Path) -> None:
        if folder.name == "index":
            raise OSError(READ_ONLY, os.strerror(READ_ONLY))
        sync(folder)

    output = tmp_path / "output"
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "fsync", fail_for_an_index)
        with pytest.raises(OutputError, match="read-only"):
            convert(**OPTIONS, output=str(output))
    assert len(list((output / "index").iterdir())) == 1
    convert(**OPTIONS, output=str(output))
    assert content_of(output) == expected
