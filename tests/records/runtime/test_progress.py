"""Progress: lines in a log, nothing when quiet or short."""

import json

import pytest

from records.runtime.logging import set_log_format
from records.runtime.progress import progress_bar, progress_callback
from tests.clock import replace_time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advance the clock by half a minute with each reading."""
    times = iter(range(0, 10_000, 30))
    replace_time(monkeypatch, "records.runtime.progress", monotonic=lambda: next(times))


def test_progress_short_work_prints_nothing_in_log(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_callback("converting", unit="images", quiet=False) as show:
        show(1, 2)
        show(2, 2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("clock")
def test_progress_long_work_prints_one_line_per_minute(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_callback("converting", unit="images", quiet=False) as show:
        for done in (900, 1_800, 2_700, 4_000):
            show(done, 4_000)
    out, err = capfd.readouterr()
    assert not out
    assert err.splitlines() == [
        "converting: 1,800 of 4,000 images, 20.0 images/s",
        "converting: 4,000 of 4,000 images, 24.4 images/s",
    ]


@pytest.mark.usefixtures("clock")
def test_progress_bar_unknown_total_prints_bytes_and_rate(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with progress_bar("verifying", unit="B") as bar:
        bar.update(0)
        bar.update(9_000_000)
    assert capfd.readouterr().err == "verifying: 9 MB, 100 kB/s\n"


@pytest.mark.usefixtures("clock")
def test_progress_quiet_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_callback("converting", unit="images", quiet=True) as show:
        show(1, 2)
        show(2, 2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("clock")
def test_progress_json_format_prints_fields(
    capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: set_log_format("text"))
    set_log_format("json")
    with progress_callback("converting", unit="images", quiet=False) as show:
        show(900, 4_000)
        show(1_800, 4_000)
    line = json.loads(capfd.readouterr().err)
    assert line["message"] == "converting: 1,800 of 4,000 images, 20.0 images/s"
    names = ("doing", "done", "of", "unit", "per_second")
    assert [line[name] for name in names] == ["converting", 1_800, 4_000, "images", 20.0]
