"""SIGKILL at random moments of real conversions, restarted until done.

SHARDMILL_TEST_KILLS=N kills N times; 3 times in the quick tests, 100 times in the long ones. The
children of a killed process are left running. Or the children are killed, and the process is not.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults import processes
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders
from tests.pipelines.sources.containers.forms import files_of as files_of_source
from tests.pipelines.sources.containers.forms import parquet_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
FLAGS = ("--shards=8", "--validation=0.1", "--max-rejects=3")
FILES_OF_A_RUN = 60
START_SECONDS = 1.0
LOOK_SECONDS = 0.005


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 600 files, of which one is corrupt."""
    folder = make_folders(tmp_path_factory.mktemp("photos"), cat=300, dog=299)
    make_file(folder, "dog/bad.png", CORRUPT)
    return folder


@pytest.fixture(scope="module")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("expected") / "data"
    assert processes.convert(photos, output, *FLAGS) == (0, "")
    return content_of(output)


def files_of(output: Path) -> set[str]:
    return {f"{folder}/{name}" for folder, _, names in os.walk(output) for name in names}


def wait_for_a_moment(process: subprocess.Popen[str], output: Path, chance: random.Random) -> bool:
    """Wait for some time after the start, or until some new file exists; return if it still runs.

    The first moments fall into starting, listing and planning, the others into planning, writing
    and committing.
    """
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0, START_SECONDS))
        return process.poll() is None
    before, seen = files_of(output), set[str]()
    wanted = chance.randint(1, FILES_OF_A_RUN)
    while process.poll() is None and len(seen) < wanted:
        seen |= files_of(output) - before
        time.sleep(LOOK_SECONDS)
    return process.poll() is None


def kill_and_restart(
    photos: Path,
    output: Path,
    flags: tuple[str, ...],
    chance: random.Random,
    most_kills: int,
) -> int:
    """Convert, killed up to so many times; return the number of kills. The last run may finish."""
    finished: dict[str, tuple[int, int]] = {}
    for kills in range(most_kills + 1):
        process = processes.start(photos, output, *flags)
        killed = kills < most_kills and wait_for_a_moment(process, output, chance)
        if killed:
            processes.kill(process)
        else:
            _, errors = process.communicate(timeout=250)
            assert (process.returncode, errors) == (0, "")
        done = processes.require_whole_or_absent(output)
        assert done or killed
        now = processes.finished_shards(output)
        assert finished.items() <= now.items(), "a finished shard was written again"
        finished = now
        if not killed:
            return kills
    raise AssertionError("unreachable")


def kill_times(photos: Path, folder: Path, expected: dict[str, bytes], wanted: int) -> None:
    chance = random.Random(8)
    kills = chains = 0
    while kills < wanted:
        output = folder / f"{chains}"
        flags = FLAGS + ((), processes.IN_PROCESSES, processes.IN_CHILDREN)[chains % 3]
        kills += kill_and_restart(photos, output, flags, chance, min(5, wanted - kills))
        chains += 1
        # Children of killed processes may still run: they must change nothing, now or later.
        assert content_of(output) == expected, chains
        assert processes.wait_for_none(output) == []
        assert content_of(output) == expected, chains
        logging.getLogger(__name__).info("%d kills, %d datasets", kills, chains)


def kill_children(photos: Path, folder: Path, expected: dict[str, bytes], wanted: int) -> None:
    """Kill children of conversions, which go on; a shard whose children die twice ends its run."""
    chance = random.Random(9)
    kills = datasets = 0
    output = folder / "0"
    while kills < wanted:
        process = processes.start(photos, output, *FLAGS, *processes.IN_PROCESSES)
        most = kills + min(5, wanted - kills)
        while process.poll() is None:
            time.sleep(chance.uniform(0, START_SECONDS / 2))
            children = processes.children_of(process)
            if children and kills < most:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(children), signal.SIGKILL)
                    kills += 1
        _, errors = process.communicate()
        assert process.returncode == 0 or "two processes ended while" in errors, errors
        assert process.returncode in {0, 74}
        assert processes.wait_for_none(output) == []
        assert processes.require_whole_or_absent(output) == (process.returncode == 0)
        if process.returncode == 0:
            assert content_of(output) == expected, datasets
            datasets += 1
            output = folder / f"{datasets}"
    assert processes.convert(photos, output, *FLAGS) == (0, "")
    assert content_of(output) == expected


KILLS = [
    2,
    pytest.param(
        int(os.environ.get("SHARDMILL_TEST_KILLS", "100")),
        marks=[pytest.mark.slow, pytest.mark.timeout(3600)],
    ),
]


@pytest.mark.parametrize("kills", KILLS)
def test_convert_sigkill_of_children_gives_same_dataset(
    photos: Path, tmp_path: Path, expected: dict[str, bytes], kills: int
) -> None:
    kill_children(photos, tmp_path, expected, kills)


@pytest.mark.parametrize("kills", KILLS)
def test_convert_sigkill_at_random_times_then_rerun_gives_same_dataset(
    photos: Path, tmp_path: Path, expected: dict[str, bytes], kills: int
) -> None:
    kill_times(photos, tmp_path, expected, kills)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_convert_parquet_sigkill_at_random_times_then_rerun_gives_same_dataset(
    photos: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    rows = [(key, data, int(key.startswith("dog"))) for key, data in files_of_source(photos)]
    path = tmp_path / "photos.parquet"
    path.write_bytes(parquet_bytes(rows, ["cat", "dog"], row_group_size=50))
    kill_times(path, tmp_path, expected, int(os.environ.get("SHARDMILL_TEST_KILLS", "100")))
