"""Progress: lines in a log, nothing when quiet or short."""

import pytest

from records import progress
from records.progress import open_bar, show_progress


def test_short_work_leaves_a_log_empty(capfd: pytest.CaptureFixture[str]) -> None:
    with show_progress("converting", unit="images", quiet=False) as show:
        show(1, 2)
        show(2, 2)
    assert capfd.readouterr() == ("", "")


def test_long_work_is_a_line_at_a_time(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    with show_progress("converting", unit="images", quiet=False) as show:
        show(1_000, 4_000)
        show(4_000, 4_000)
    out, err = capfd.readouterr()
    assert not out
    assert "\r" not in err
    first, *_, last = err.splitlines()
    assert first.startswith("converting: 0 of 4000 images")
    assert last.startswith("converting: 4000 of 4000 images")


def test_bytes_of_unknown_total(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    with open_bar("verifying", unit="B") as bar:
        bar.update(5_000_000)
    assert "verifying: 5.00MB" in capfd.readouterr().err


def test_quiet(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    with show_progress("converting", unit="images", quiet=True) as show:
        show(1, 2)
    assert capfd.readouterr() == ("", "")
