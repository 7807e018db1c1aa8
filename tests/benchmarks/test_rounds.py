"""Rounds: their order, their samples, and the removal of output."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.harness import rounds
from benchmarks.harness.process import ProcessError
from benchmarks.harness.rounds import Case, Contestant, find_able, order, run_rounds

_WRITE = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).mkdir()
time.sleep(float(sys.argv[3]))
print(sys.argv[2])
"""


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the sync: writes of other processes do not matter here."""
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jpg").write_bytes(b"12345")
    return Case("photos", source, 1, 5)


def _contestant(name: str, *, says: str = "{}", seconds: float = 0) -> Contestant:
    program = [sys.executable, "-c", _WRITE]
    return Contestant(name, lambda _, out: [*program, str(out), says, str(seconds)], "1.0")


def test_run_rounds_reverses_contestant_order_every_round(case: Case, tmp_path: Path) -> None:
    contestants = [_contestant(name) for name in "abc"]
    assert [each.name for each in order(contestants, 1)] == ["c", "b", "a"]
    samples = run_rounds(contestants, [case], 3, tmp_path / "out")
    assert "".join(each.contestant for each in samples) == "abccbaabc"
    assert [each.round for each in samples] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_run_rounds_reads_input_before_every_run(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[Path]()
    monkeypatch.setattr(rounds, "warm", read.append)
    run_rounds([_contestant("a"), _contestant("b")], [case], 2, tmp_path / "out")
    assert read == [case.source] * 4


def test_run_rounds_removes_output_between_runs(case: Case, tmp_path: Path) -> None:
    # The program fails if the folder exists already.
    run_rounds([_contestant("a"), _contestant("b")], [case], 2, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_run_rounds_sample_has_reported_and_measured_values(case: Case, tmp_path: Path) -> None:
    says = '{"images": 1, "seconds": 0.25, "stored_bytes": 7}'
    # Long enough for a sample of its memory.
    contestant = _contestant("a", says=says, seconds=0.5)
    (sample,) = run_rounds([contestant], [case], 1, tmp_path / "out")
    assert (sample.case, sample.images, sample.bytes) == ("photos", 1, 5)
    assert sample.work_seconds == 0.25
    assert sample.figures == {"stored_bytes": 7}
    assert sample.seconds > 0
    assert sample.peak_bytes > 1 << 20


def test_run_rounds_missing_images_raise_process_error(case: Case, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="a processed 0 of 1 images"):
        run_rounds([_contestant("a", says='{"images": 0}')], [case], 1, tmp_path / "out")


def test_run_rounds_program_that_fails_once_is_run_again(case: Case, tmp_path: Path) -> None:
    # The first run makes the folder, and fails; the second one removes it, and succeeds.
    program = "import os; os.path.isdir('once') or os.mkdir('once') or exit(1); os.rmdir('once')"
    code = f"import os; os.chdir({str(tmp_path)!r}); {program}; print('{{}}')"
    contestant = Contestant("a", lambda *_: [sys.executable, "-c", code], "1.0")
    (sample,) = run_rounds([contestant], [case], 1, tmp_path / "out")
    assert sample.contestant == "a"


def test_find_able_failing_contestant_is_excluded_with_reason(case: Case, tmp_path: Path) -> None:
    broken = Contestant("broken", lambda *_: [sys.executable, "-c", "exit('no such thing')"], "")
    able, failed = find_able([broken, _contestant("a")], case, tmp_path / "out")
    assert [each.name for each in able] == ["a"]
    assert "no such thing" in failed["broken"]
