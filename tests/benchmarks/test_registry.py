"""Runs of a benchmark: number of rounds, and removal of derived files."""

import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

from benchmarks import registry
from benchmarks.harness.process import ProcessError
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import TRY, Entry, Setting
from benchmarks.suites.large_collection import check_space


def _register(monkeypatch: pytest.MonkeyPatch, program: str, rounds: int | None) -> None:
    def enter(setting: Setting) -> Entry:
        (setting.derived / "source").mkdir(parents=True)
        contestant = Contestant("a", lambda *_: [sys.executable, "-c", program], "1.0")
        case = Case("photos", setting.derived / "source", 1, 5)
        return Entry([contestant], [case], trial_images=0, rounds=rounds)

    monkeypatch.setitem(registry.BENCHMARKS, "test", enter)


@pytest.mark.parametrize(("rounds", "expected"), [(None, 2), (1, 1)])
def test_run_entry_with_rounds_replaces_those_of_the_scale(
    rounds: int | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _register(monkeypatch, "", rounds)
    setting = Setting(replace(TRY, rounds=2), tmp_path, tmp_path / "cache")
    assert len(registry.run("test", setting, "").samples) == expected
    assert not setting.derived.exists()


def test_run_failing_contestant_leaves_no_derived_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _register(monkeypatch, "exit(1)", None)
    setting = Setting(TRY, tmp_path, tmp_path / "cache")
    with pytest.raises(ProcessError):
        registry.run("test", setting, "")
    assert not setting.derived.exists()


def test_check_space_too_little_space_names_both_sizes(tmp_path: Path) -> None:
    check_space(tmp_path / "new", 0)
    assert (tmp_path / "new").is_dir()
    with pytest.raises(click.ClickException, match=r"expected 1,000,000,000 GB, got [\d,]+ GB;"):
        check_space(tmp_path, 10**18)
