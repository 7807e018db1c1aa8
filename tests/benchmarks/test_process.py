"""Time, memory and ways to end of a measured process."""

import sys

import pytest

from benchmarks.harness.process import ProcessError, measure

MB = 1 << 20
_HOLD = "import sys, time; held = bytearray(int(sys.argv[1])); time.sleep(0.5)"
_HOLD_IN_TWO = """
import subprocess, sys, time
hold = "import sys; held = bytearray(int(sys.argv[1])); print(flush=True); sys.stdin.read()"
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
children = [subprocess.Popen([sys.executable, "-c", hold, sys.argv[1]], **pipes) for _ in range(2)]
for child in children:
    child.stdout.readline()
time.sleep(1)  # both have their memory, however long they took to start
for child in children:
    child.communicate()
"""


@pytest.fixture(scope="module")
def bare_bytes() -> int:
    """Return the memory of an idle interpreter."""
    return measure([sys.executable, "-c", "import time; time.sleep(0.2)"]).peak_bytes


def test_measure_single_process_reports_time_and_peak_memory(bare_bytes: int) -> None:
    done = measure([sys.executable, "-c", _HOLD, str(100 * MB)])
    assert 100 * MB < done.peak_bytes < 100 * MB + 2 * bare_bytes
    assert done.seconds > 0.5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_measure_process_tree_reports_peak_memory_of_all_processes(bare_bytes: int) -> None:
    done = measure([sys.executable, "-c", _HOLD_IN_TWO, str(100 * MB)])
    assert 200 * MB < done.peak_bytes < 200 * MB + 4 * bare_bytes


def test_measure_reported_is_json_of_last_output_line() -> None:
    done = measure([sys.executable, "-c", "print('so far so good'); print('{\"images\": 7}')"])
    assert done.reported() == {"images": 7}


def test_measure_output_without_json_reports_nothing() -> None:
    assert measure([sys.executable, "-c", "print('done')"]).reported() == {}


def test_measure_failed_program_raises_process_error_with_stderr() -> None:
    with pytest.raises(ProcessError, match="ended with 3: it cannot be"):
        measure(
            [sys.executable, "-c", "import sys; print('it cannot be', file=sys.stderr); exit(3)"]
        )
