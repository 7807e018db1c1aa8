"""Commands in several processes: the same results, errors and order as in one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.compact import compact
from pipelines.extract import extract
from pipelines.options import ConvertOptions
from records.dedup import find_near_duplicates
from records.errors import CorruptDataError, OutputError, UsageError
from records.verification import check_files
from tests.faults import processes
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_folders, make_picture

ONE_OR_TWO = pytest.mark.parametrize("count", [1, 2])


@pytest.fixture
def dataset(convert: Convert, source: Path, output: Path) -> Path:
    """Return a dataset of several shards, with two images of one name after extraction."""
    make_file(source, "cat/a.gif", make_picture(1, kind="GIF"))
    make_file(source, "cat/a.gif.png", make_picture(2))
    convert(test=0.3, shards=4)
    make_file(source, "dog/later.png", make_picture(3))
    convert(test=0.3, append=True)
    return output


def test_verify_gives_same_findings_in_the_same_order(dataset: Path) -> None:
    for number, path in enumerate(sorted(dataset.glob("*.tfrecord"))):
        content = bytearray(path.read_bytes())
        content[100 * number + 50] ^= 1
        path.write_bytes(content)
    found = [
        [(each.file, each.records, each.findings, each.keys) for each in checked]
        for count in (1, 2)
        for checked in [check_files(dataset, decode=True, processes=count)]
    ]
    assert found[0] == found[1]
    assert sum(len(findings) for _, _, findings, _ in found[0]) > 4


def test_extract_gives_same_files(dataset: Path, tmp_path: Path) -> None:
    counted: list[int] = []
    for count in (1, 2):
        extract(str(dataset), str(tmp_path / str(count)), counted.append, processes=count)
    assert content_of(tmp_path / "1") == content_of(tmp_path / "2")
    assert sum(counted) == 2 * 24
    names = [path.name for path in (tmp_path / "1").rglob("a.gif*")]
    assert len(names) == 2


@ONE_OR_TWO
def test_extract_damaged_record_leaves_nothing(dataset: Path, tmp_path: Path, count: int) -> None:
    path = sorted(dataset.glob("*.tfrecord"))[1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptDataError, match=path.name):
        extract(str(dataset), str(tmp_path / "out"), processes=count)
    assert not (tmp_path / "out").exists()


def test_near_duplicates_are_the_same(dataset: Path) -> None:
    pytest.importorskip("imagehash")
    counted: list[int] = []
    found = []
    for count in (1, 2):
        found.append(find_near_duplicates(dataset, processes=count, on_images=counted.append))
        hashes = {path.name: path.read_bytes() for path in (dataset / "hashes").iterdir()}
        for path in (dataset / "hashes").iterdir():
            path.unlink()
        found.append(hashes)  # type: ignore[arg-type]
    assert found[:2] == found[2:]
    assert sum(counted) == 2 * 24


@ONE_OR_TWO
def test_compact_gives_the_dataset_of_one_conversion(
    convert: Convert, source: Path, dataset: Path, tmp_path: Path, count: int
) -> None:
    expected = tmp_path / "expected"
    convert(test=0.3, shards=4, output=str(expected))
    compact(str(dataset), str(tmp_path / "compacted"), processes=count)
    shards = [path.name for path in expected.rglob("*.tfrecord")]
    for name in shards:
        assert (tmp_path / "compacted" / name).read_bytes() == (expected / name).read_bytes()


def test_convert_error_of_a_shard_is_raised_and_ends_the_others(
    convert: Convert, output: Path
) -> None:
    output.mkdir()
    (output / "index").write_bytes(b"a file in place of the folder")
    with pytest.raises(OutputError, match="index"):
        convert(shards=4, processes=2)
    assert not list(output.glob(".shardmill/staging/*"))


def test_convert_from_memory_uses_one_process(
    convert: Convert, source: Path, output: Path, memory: object, logged: pytest.LogCaptureFixture
) -> None:
    convert(output="memory://bucket/data", shards=2, processes=2)
    assert logged.messages == []


def test_convert_list_of_memory_urls_uses_one_process(
    convert: Convert, source: Path, memory: Any, logged: pytest.LogCaptureFixture
) -> None:
    memory.pipe_file("/pool/1.png", make_picture(1))
    name = min((source / "cat").iterdir()).name
    rows = f"path,label\nmemory://pool/1.png,cat\ncat/{name},cat\n"
    path = make_file(source.parent, "list.csv", rows.encode())
    report = convert(list=str(path), allow_url=True, shards=2, processes=2)
    assert report.counts.stored == 2
    assert not [line for line in logged.messages if "2 processes" in line]


def test_convert_logs_processes_and_threads(
    convert: Convert, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("records.runtime.processes.division.available_cpus", lambda: 4)
    convert(shards=2, processes=2, workers=1)
    assert logged.messages[0] == "2 processes × 1 thread on 4 cores"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "--processes must be at least 1"),
        ({"processes": 2, "runner": "flink"}, "--processes needs the runner local"),
        ({"processes": 2, "beam_flags": ("--x",)}, "--processes needs the runner local"),
    ],
)
def test_convert_invalid_processes_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ConvertOptions(source="a", output="b", **options).validate()  # type: ignore[arg-type]


# What a shell starts in the background, these tests too, ignores Ctrl-C unless it asks for it.
WITH_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from shardmill.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_convert_signal_ends_all_processes_and_resumes(
    tmp_path: Path, output: Path, number: int
) -> None:
    source = make_folders(tmp_path / "photos", cat=150, dog=150)
    flags = ("--shards=6", "--resize=300", "--store=png", "--processes=2")
    process = processes.start(source, output, *flags, program=("-c", WITH_CTRL_C))
    while not list(output.glob("index/*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert processes.processes_on(output) == []
    assert processes.convert(source, output, *flags) == (0, "")
    assert processes.convert(source, tmp_path / "expected", *flags) == (0, "")
    assert content_of(output) == content_of(tmp_path / "expected")


def test_convert_in_a_script_without_a_guard_uses_processes(source: Path, output: Path) -> None:
    script = f"import shardmill as sm\nsm.convert({str(source)!r}, {str(output)!r}, processes=2)"
    path = source.parent / "script.py"
    path.write_text(script)
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, path],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (output / "dataset.json").exists()
