"""A conversion in a separate process, killed or interrupted while it writes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from records.errors import LockedError
from records.format import layout
from records.format.image_options import ImageOptions
from tests.pipelines.pictures import content_of, make_folders

Start = Callable[[str], subprocess.Popen[str]]
SHARDS = 6
# What a shell starts in the background, these tests too, is deaf to Ctrl-C unless it asks for it.
SHARDMILL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from shardmill.cli import main
main()
"""
FLAGS = (f"--shards={SHARDS}", "--resize=300", "--store=png", "--workers=1", "--quiet")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 pictures, of which each takes some milliseconds."""
    return make_folders(tmp_path_factory.mktemp("photos"), cat=40, dog=40)


def convert_pictures(pictures: Path, output: Path) -> None:
    images = ImageOptions(resize=(300, 300), store="png")
    options = {"source": str(pictures), "output": str(output), "shards": SHARDS}
    convert(ConvertOptions(**options, images=images))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def expected(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("expected")
    convert_pictures(pictures, output)
    return content_of(output)


@pytest.fixture
def start(pictures: Path, output: Path) -> Iterator[Start]:
    """Start a conversion, and return when a file of this name has come into being."""
    started = []

    def start_and_wait(name: str) -> subprocess.Popen[str]:
        command: list[str | Path] = [
            sys.executable,
            "-c",
            SHARDMILL,
            "convert",
            pictures,
            output,
            *FLAGS,
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        while not (output / name).exists() and process.poll() is None:
            time.sleep(0.002)
        assert process.poll() is None, process.communicate()
        return process

    yield start_and_wait
    for process in started:
        process.kill()
        process.communicate()


def index(number: int) -> str:
    return layout.index_name(layout.shard_name("train", number, SHARDS))


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(f"{layout.WORK_FOLDER}/plan.json", marks=pytest.mark.slow),
        index(0),
        pytest.param(index(3), marks=pytest.mark.slow),
    ],
)
def test_convert_killed_then_rerun_gives_same_bytes(
    start: Start,
    pictures: Path,
    output: Path,
    expected: dict[str, bytes],
    moment: str,
) -> None:
    process = start(moment)
    process.kill()
    process.communicate()
    assert not (output / layout.MANIFEST).exists()
    finished = {path: path.stat().st_mtime_ns for path in output.glob("index/*")}
    convert_pictures(pictures, output)
    assert content_of(output) == expected
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_convert_interrupted_by_signal_exits_cleanly_and_resumes(
    start: Start, pictures: Path, output: Path, expected: dict[str, bytes], number: int
) -> None:
    process = start(index(1))
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    line = error.strip()
    event = "interrupted" if number == signal.SIGINT else "terminated"
    assert not line or line.startswith(f"shardmill: {event}; resume with: shardmill convert")
    assert not (output / layout.MANIFEST).exists()
    assert not list(output.glob(f"{layout.WORK_FOLDER}/staging/*"))
    marks = {path.stem for path in output.glob(f"{layout.WORK_FOLDER}/attempts/*")}
    assert marks <= {path.stem for path in output.glob("index/*")}  # of finished shards
    convert_pictures(pictures, output)
    assert content_of(output) == expected


def test_convert_second_concurrent_run_is_refused_as_locked(
    start: Start,
    pictures: Path,
    output: Path,
    expected: dict[str, bytes],
) -> None:
    process = start(index(0))
    with pytest.raises(LockedError):
        convert_pictures(pictures, output)
    assert process.communicate(timeout=120) == ("", "")
    assert process.returncode == 0
    assert content_of(output) == expected


@pytest.mark.slow
def test_convert_sigterm_stops_worker_processes(pictures: Path, output: Path, start: Start) -> None:
    flags = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=1")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "shardmill",
        "convert",
        pictures,
        output,
        *FLAGS,
        "--resize=700",  # the signal comes before the last shard
        *flags,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (output / index(0)).exists() and process.poll() is None:
        time.sleep(0.01)
    process.terminate()
    _, error = process.communicate(timeout=120)
    assert process.returncode == 143
    assert error.startswith("shardmill: terminated; resume with: shardmill convert ")
    assert error.count("\n") == 1
    assert not (output / index(SHARDS - 1)).exists()
    assert not list(output.glob(f"{layout.WORK_FOLDER}/staging/*"))
