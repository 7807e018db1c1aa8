"""Child processes: order, errors, deaths, stopping, the end of the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from records.errors import CorruptDataError, ResourceError
from records.runtime.processes import Division, ProcessPool, divide_cpus, pool, process_map
from tests.records.runtime import process_functions as functions

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_process_map_any_process_count_keeps_order(processes: int) -> None:
    counted: list[int] = []
    found = list(
        process_map(functions.square, range(6), processes=processes, on_progress=counted.append)
    )
    assert [square for _, square in found] == [0, 1, 4, 9, 16, 25]
    assert sum(counted) == 15
    ids = {process for process, _ in found}
    assert len(ids) <= processes
    assert (os.getpid() in ids) == (processes == 1)


def test_process_map_without_items_yields_nothing() -> None:
    assert list(process_map(functions.square, [], processes=2)) == []


def test_process_map_error_is_raised_in_the_order_of_the_items() -> None:
    found = process_map(functions.fail_at_3, range(6), processes=2)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(CorruptDataError, match="three record 4: this one is bad") as raised:
        next(found)
    assert "in fail_at_3" in raised.value.__notes__[0]


def test_process_map_results_and_errors_that_cannot_be_pickled_raise_runtime_error() -> None:
    for items in ([0, 1], [1, 0]):
        with pytest.raises(RuntimeError, match="pickle"):
            next(process_map(functions.fail_strangely, items, processes=2))


@pytest.mark.parametrize("deaths", [1, 2])
def test_process_map_killed_child_is_replaced_once(tmp_path: Path, deaths: int) -> None:
    counted: list[int] = []
    function = partial(functions.die, str(tmp_path), deaths)
    found = process_map(function, range(4), processes=2, on_progress=counted.append)
    if deaths == 1:
        assert list(found) == [0, 1, 2, 3]
        assert sum(counted) == 40, "the images of a killed child are not counted twice"
        assert min(counted) < 0
    else:
        with pytest.raises(ResourceError, match=r"[13]: two processes ended.*, got SIGKILL; if"):
            list(found)
    assert len(list(tmp_path.iterdir())) >= deaths


def test_pool_stop_ends_items_at_their_next_image(tmp_path: Path) -> None:
    function = partial(functions.count_forever, str(tmp_path))
    with ProcessPool(function, 2) as processes:
        threading.Thread(target=stop_when_begun, args=(processes, tmp_path, 2)).start()
        ended = [type(future.exception()) for _, future in processes.map_unordered(range(4))]
    assert [each.__name__ for each in ended] == ["CancelledError"] * 2
    assert names_in(tmp_path, "stopped") == ["0-stopped", "1-stopped"]


def test_pool_stop_kills_children_that_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "STOP_SECONDS", 0.1)
    with ProcessPool(partial(functions.hang, str(tmp_path)), 2) as processes:
        threading.Thread(target=stop_when_begun, args=(processes, tmp_path, 2)).start()
        assert list(processes.map_unordered(range(4))) == []
    assert_ended(tmp_path)


def test_process_map_closed_early_ends_its_children(tmp_path: Path) -> None:
    found = process_map(functions.square, range(100), processes=2)
    process, _ = next(found)
    found.close()  # type: ignore[attr-defined] # a generator
    assert not is_alive(process)


def test_children_ignore_signals_and_have_no_input() -> None:
    for found in process_map(functions.signals, range(2), processes=2):
        assert found == ["SIGINT", "SIGTERM", os.devnull]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


SCRIPT = """
import sys
from functools import partial
from records.runtime.processes import process_map
from tests.records.runtime.process_functions import hang

list(process_map(partial(hang, sys.argv[1]), range(2), processes=2))
"""


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    # The program has no `if __name__ == "__main__"`: children do not import it.
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "begun"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, script, folder], env=environment)
    while len(names_in(folder, "begun")) < 2:
        assert parent.poll() is None
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    assert_ended(folder)


def stop_when_begun(processes: ProcessPool[int, None], folder: Path, count: int) -> None:
    while len(names_in(folder, "begun")) < count:
        time.sleep(0.01)
    processes.stop()


def names_in(folder: Path, what: str) -> list[str]:
    return sorted(path.name for path in folder.glob(f"*-{what}*"))


def assert_ended(folder: Path) -> None:
    """Wait for the end of the processes that have left a file."""
    for name in names_in(folder, "begun"):
        while is_alive(int(name.rpartition("-")[2])):
            time.sleep(0.01)


def is_alive(process: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("shards", "seconds", "chosen", "division"),
    [
        (16, 0.1, {}, Division(1, 8, 8)),
        (16, 2.9, {}, Division(1, 8, 8)),
        (16, 3.0, {}, Division(2, 4, 8)),
        (16, 8.0, {}, Division(5, 1, 8)),
        (16, 1e6, {}, Division(8, 1, 8)),
        (3, 1e6, {}, Division(3, 2, 8)),
        (0, 1e6, {}, Division(1, 8, 8)),
        (16, 1e6, {"threads": 1}, Division(8, 1, 8)),
        (16, 1e6, {"threads": 3}, Division(3, 3, 8)),
        (16, 1e6, {"threads": 16}, Division(1, 16, 8)),
        (16, 0.1, {"processes": 4}, Division(4, 2, 8)),
        (16, 0.1, {"processes": 12}, Division(12, 1, 8)),
        (2, 0.1, {"processes": 12}, Division(2, 4, 8)),
        (16, 1e6, {"processes": 2, "threads": 1}, Division(2, 1, 8)),
    ],
)
def test_divide_cpus_uses_all_cpus_for_enough_work(
    monkeypatch: pytest.MonkeyPatch,
    shards: int,
    seconds: float,
    chosen: dict[str, int],
    division: Division,
) -> None:
    monkeypatch.setattr("records.runtime.processes.division.available_cpus", lambda: 8)
    assert divide_cpus(shards, seconds, **chosen) == division


def test_division_is_described_with_its_numbers() -> None:
    assert str(Division(4, 1, 4)) == "4 processes × 1 thread on 4 cores"
    assert str(Division(1, 2, 1)) == "1 process × 2 threads on 1 core"
