"""A conversion that dies, or whose disk is full, at any of the calls that change anything."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.isolation import IsolatedStore
from records import layout
from records.errors import TargetError
from tests.pipelines.conftest import Convert
from tests.pipelines.faults import Faults, KilledError
from tests.pipelines.pictures import CORRUPT, content_of, make_file

pytestmark = pytest.mark.usefixtures("without_beam", "without_helper_processes")
OPTIONS = {"test": 4, "shards": 2, "max_rejects": 5}


@pytest.fixture
def without_helper_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards whose attempt died are stored in this process too: what a helper adds is time."""

    class InProcess(IsolatedStore):
        _new_pool = staticmethod(lambda: ThreadPoolExecutor(1))  # type: ignore[assignment]

    monkeypatch.setattr("pipelines.write.IsolatedStore", InProcess)


@pytest.fixture
def expected(convert: Convert, source: Path, tmp_path: Path) -> dict[str, bytes]:
    make_file(source, "dog/bad.png", CORRUPT)
    convert(**OPTIONS, target=str(tmp_path / "expected"))
    return content_of(tmp_path / "expected")


def test_killed_at_any_call_and_started_again(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = Faults(monkeypatch, KilledError, removals=True)
    with faults.at(None):
        convert(**OPTIONS, target=str(tmp_path / "all"))
    calls = faults.calls
    assert calls > 60
    for number in range(1, calls + 1):
        target = tmp_path / f"{number}"
        with faults.at(number), pytest.raises(KilledError):
            convert(**OPTIONS, target=str(target))
        if (target / layout.MANIFEST).exists():
            assert expected.items() <= content_of(target).items(), number
        report = convert(**OPTIONS, target=str(target))
        assert report.counts.stored == 21
        assert content_of(target) == expected, number


def test_killed_twice(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = Faults(monkeypatch, KilledError, removals=True)
    for number in range(10, 70, 7):
        target = tmp_path / f"{number}"
        for again in (number, number // 2):
            with faults.at(again), pytest.raises(KilledError):
                convert(**OPTIONS, target=str(target))
        convert(**OPTIONS, target=str(target))
        assert content_of(target) == expected, number


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_target_that_cannot_be_written_from_any_call_on(
    convert: Convert,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    faults = Faults(monkeypatch, lambda: OSError(code, os.strerror(code)), removals=False)
    with faults.at(None):
        convert(**OPTIONS, target=str(tmp_path / "all"))
    step = 3 if code == errno.ENOSPC else 13
    for number in range(1, faults.calls + 1, step):
        target = tmp_path / f"{number}"
        with faults.at(number), pytest.raises(TargetError) as caught:
            convert(**OPTIONS, target=str(target))
        assert "cannot be written" in str(caught.value)
        assert not list(target.glob(f"{layout.WORK_FOLDER}/staging/*")), number
        convert(**OPTIONS, target=str(target))
        assert content_of(target) == expected, number
