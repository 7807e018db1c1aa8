"""Runs of WriteDataset that are killed, retried, repeated, or run at the same time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xxhash

from pipelines.clean import clean
from pipelines.runners.beam import ProcessShard
from pipelines.transforms.write_run import (
    PlannedRun,
    WriteOptions,
    begin_run,
    finish_run,
    make_task,
)
from records import open_dataset, verify
from records.errors import InputNotFoundError, LockedError, OutputError, StorageError
from records.format import layout
from records.storage import open_storage
from records.storage.ownership import record_hash
from tests.faults.calls import Faults, KilledError
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file
from tests.pipelines.transforms.rows import Rows, rows_of, write
from tests.pipelines.transforms.test_parts import options_of, write_parts

SAME: dict[str, Any] = {"test": 0.3, "shards": 3}
OFTEN = pytest.param(4, marks=pytest.mark.slow)


@pytest.fixture
def expected(convert: Convert, source: Path, tmp_path: Path) -> dict[str, bytes]:
    make_file(source, "dog/bad.png", CORRUPT)
    convert(**SAME, output=str(tmp_path / "expected"))
    return content_of(tmp_path / "expected")


@pytest.fixture
def rows(expected: dict[str, bytes], source: Path) -> Rows:
    return rows_of(source)


@pytest.fixture
def other(rows: Rows) -> Rows:
    """Return rows of other images with the same keys and sizes."""
    by_size: dict[int, Rows] = {}
    for row in rows:
        by_size.setdefault(len(row["image"]), []).append(row)
    found = []
    for alike in by_size.values():
        images = [row["image"] for row in alike]
        moved = zip(alike, [*images[1:], images[0]], strict=True)
        found += [row | {"image": image} for row, image in moved]
    assert found != rows
    return found


def hash_of(path: Path) -> str:
    return xxhash.xxh3_128_hexdigest(path.read_bytes())


def die() -> None:
    raise KilledError


def write_in_steps(rows: Rows, output: Path, *, is_retried: bool = False) -> None:
    """Write rows as the steps of the pipeline do, one after another in this process."""
    step = _retried if is_retried else _once
    options = options_of(output, **SAME)
    parts = [part for first in range(0, len(rows), 8)
             for part in step(write_parts, rows[first : first + 8], output)]  # fmt: skip
    planned = step(begin_run, options, parts)
    task, process_shard = make_task(options, planned), ProcessShard()
    names = [name for it in planned.shards for name in step(process_shard.process, it, task)]
    step(finish_run, options, planned, names)


def _once(function: Callable[..., Any], *given: Any) -> Any:
    return function(*given)


def _retried(function: Callable[..., Any], *given: Any) -> Any:
    """Call a function as a runner does, which calls it again after it has died."""
    try:
        return function(*given)
    except KilledError:
        return function(*given)


def count_calls(faults: Faults, rows: Rows, output: Path) -> int:
    with faults.at(None, die):
        write_in_steps(rows, output)
    assert faults.calls > 100
    return faults.calls


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch, "change", "removal")


@pytest.mark.parametrize("step", [31, OFTEN])
def test_write_killed_at_any_call_then_run_again_gives_same_dataset(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path, faults: Faults, step: int
) -> None:
    for number in range(1, count_calls(faults, rows, tmp_path / "all") + 1, step):
        output = tmp_path / f"{number}"
        with faults.at(number, die), pytest.raises(KilledError):
            write_in_steps(rows, output)
        if (output / layout.MANIFEST).exists():
            assert list(verify(output)) == []
        write_in_steps(rows, output)
        assert content_of(output) == expected, number


@pytest.mark.parametrize("step", [31, OFTEN])
def test_write_step_that_fails_at_any_call_and_is_retried_gives_same_dataset(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path, faults: Faults, step: int
) -> None:
    for number in range(1, count_calls(faults, rows, tmp_path / "all") + 1, step):
        output = tmp_path / f"{number}"
        with faults.at(number, die, once=True):
            write_in_steps(rows, output, is_retried=True)
        assert content_of(output) == expected, number


def test_write_last_step_again_after_publication_gives_same_report(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path
) -> None:
    options = options_of(tmp_path / "b", **SAME)
    planned = begin_run(options, write_parts(rows, tmp_path / "b"))
    names = write_shards(planned, options)
    report = finish_run(options, planned, names)
    assert finish_run(options, planned, names) == report
    assert report.status == "converted"
    assert content_of(tmp_path / "b") == expected


@pytest.mark.parametrize("is_of_user", [False, True])
def test_write_last_step_again_without_fingerprints_gives_same_report(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path, *, is_of_user: bool
) -> None:
    output, options = tmp_path / "b", options_of(tmp_path / "b", **SAME)
    if is_of_user:
        make_file(output, layout.FINGERPRINTS, b"mine")
    planned = begin_run(options, write_parts(rows, output))
    names = write_shards(planned, options)
    report = finish_run(options, planned, names)
    if not is_of_user:
        (output / layout.FINGERPRINTS).unlink()
    assert finish_run(options, planned, names) == report
    assert content_of(output).items() >= expected.items()


def write_shards(planned: PlannedRun, options: WriteOptions, first: int = 9) -> list[str]:
    task, process_shard = make_task(options, planned), ProcessShard()
    return [name for shard in planned.shards[:first] for name in process_shard.process(shard, task)]


def test_write_same_rows_again_does_nothing(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path
) -> None:
    write(rows, tmp_path / "b", **SAME)
    before = _identities(tmp_path / "b")
    report = write(rows[::-1], tmp_path / "b", **SAME)
    assert report.status == "nothing-to-do"
    assert (report.counts.stored, report.counts.known) == (0, len(rows))
    assert _identities(tmp_path / "b") == before
    assert content_of(tmp_path / "b") == expected


def _identities(output: Path) -> dict[Path, tuple[int, int]]:
    found = {path: path.stat() for path in output.rglob("*")}
    return {path: (it.st_ino, it.st_mtime_ns) for path, it in found.items() if path.is_file()}


@pytest.mark.parametrize("what", ["fewer rows", "options", "images"])
def test_write_to_another_dataset_is_refused_and_leaves_nothing(
    rows: Rows, other: Rows, expected: dict[str, bytes], tmp_path: Path, what: str
) -> None:
    write(rows, tmp_path / "b", **SAME)
    given = {"fewer rows": rows[1:], "options": rows, "images": other}[what]
    options = SAME | ({"resize": 4} if what == "options" else {})
    with pytest.raises(Exception, match=r"already contains a dataset of|was modified after"):
        write(given, tmp_path / "b", **options)
    assert content_of(tmp_path / "b") == expected
    assert not (tmp_path / "b" / layout.WORK_FOLDER).exists()


def kill_at(
    monkeypatch: pytest.MonkeyPatch, step: str, rows: Rows, output: Path, **options: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(step, lambda *_given, **_named: die())
        with pytest.raises(Exception):  # noqa: B017, PT011 - of the runner
            write(rows, output, **SAME | options)


PUBLICATION = "pipelines.writing.publish.write_file"
PLAN = "pipelines.transforms.write.begin_run"
WRITING = "pipelines.transforms.write_run.collect_results"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((PLAN, PLAN), marks=pytest.mark.slow),
        pytest.param((PLAN, PUBLICATION), marks=pytest.mark.slow),
        (WRITING, PLAN),
        (PUBLICATION, PUBLICATION),
    ],
)
def test_write_after_two_killed_runs_of_other_rows_leaves_only_the_dataset(
    rows: Rows,
    expected: dict[str, bytes],
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: tuple[str, str],
) -> None:
    kill_at(monkeypatch, steps[0], rows[3:], output)
    kill_at(monkeypatch, steps[1], rows[:-2], output, seed=3)
    assert list((output / layout.WORK_FOLDER / "parts").iterdir())
    write(rows, output, **SAME)
    assert content_of(output) == expected


def test_write_other_images_of_the_same_size_after_a_killed_run_are_stored(
    rows: Rows,
    other: Rows,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kill_at(monkeypatch, PUBLICATION, other, tmp_path / "b")
    write(rows, tmp_path / "b", **SAME)
    assert content_of(tmp_path / "b") == expected


def test_write_same_rows_after_a_killed_run_keeps_finished_shards(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_at(monkeypatch, PUBLICATION, rows, tmp_path / "b")
    assert write(rows, tmp_path / "b", **SAME).shards_kept == 4


@pytest.mark.parametrize("step", [PLAN, PUBLICATION])
def test_clean_removes_a_killed_run(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    make_file(tmp_path, "b/README.md", b"mine")
    kill_at(monkeypatch, step, rows, tmp_path / "b")
    clean(str(tmp_path / "b"))
    assert content_of(tmp_path / "b") == {"README.md": b"mine"}


def test_unfinished_run_is_named_by_readers_and_other_commands(
    rows: Rows,
    tmp_path: Path,
    convert: Convert,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "b"
    kill_at(monkeypatch, PUBLICATION, rows, output)
    with pytest.raises(InputNotFoundError, match=r"shardmill.beam.WriteDataset.*pipeline again"):
        open_dataset(output)
    with pytest.raises(OutputError, match=r"unfinished run of `shardmill.beam.WriteDataset`"):
        convert(**SAME, output=str(output))
    write(rows, output, **SAME)
    assert content_of(output) == expected


def test_write_to_an_unfinished_conversion_is_refused(
    rows: Rows, source: Path, convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "b"
    with monkeypatch.context() as patch:
        patch.setattr(PUBLICATION, lambda *_given: die())
        with pytest.raises(KilledError):
            convert(**SAME, output=str(output))
    with pytest.raises(Exception, match="unfinished run of `shardmill convert`"):
        write(rows, output, **SAME)
    assert convert(**SAME, output=str(output)).shards_kept == 4


def test_write_too_many_rejects_publishes_nothing_and_resumes_with_a_higher_limit(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "b"
    with pytest.raises(Exception, match=r"1 of 22 images rejected \(1 corrupt\), .*dog/bad.png"):
        write(rows, output, max_rejects=0, **SAME)
    assert not (output / layout.MANIFEST).exists()
    assert write(rows, output, max_rejects=1, **SAME).shards_kept == 4
    assert content_of(output) == expected


def test_write_file_of_the_user_is_kept(rows: Rows, tmp_path: Path) -> None:
    make_file(tmp_path, "b/labels.txt", b"mine")
    with pytest.raises(Exception, match=r"labels.txt: shardmill did not write this file"):
        write(rows, tmp_path / "b", **SAME)
    assert (tmp_path / "b" / "labels.txt").read_bytes() == b"mine"
    assert not (tmp_path / "b" / layout.MANIFEST).exists()


@pytest.mark.parametrize("is_same", [True, False])
def test_write_two_runs_at_once_publish_only_the_later_one(
    rows: Rows, other: Rows, expected: dict[str, bytes], tmp_path: Path, *, is_same: bool
) -> None:
    output = tmp_path / "b"
    options = options_of(output, **SAME)
    first = begin_run(options, write_parts(rows if is_same else other, output, 5))
    written = write_shards(first, options, 2)
    later = begin_run(options, write_parts(rows, output, 6))
    assert later.shards_kept == (2 if is_same else 0)
    with pytest.raises(LockedError, match="another run has started to write here"):
        write_shards(first, options)
    with pytest.raises(LockedError, match="another run has started to write here"):
        finish_run(options, first, written)
    report = finish_run(options, later, write_shards(later, options))
    assert report.status == "converted"
    assert content_of(output) == expected
    if is_same:
        assert finish_run(options, first, written) == report
    else:
        with pytest.raises(LockedError):
            finish_run(options, first, written)
    assert content_of(output) == expected


def test_write_shard_of_an_earlier_run_with_other_images_is_written_again(
    rows: Rows, other: Rows, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """The earlier run writes a shard after the later one was planned, and before its workers."""
    output, mine = tmp_path / "b", tmp_path / "c"
    options = options_of(output, **SAME)
    write(other, mine, **SAME)
    later = begin_run(options, write_parts(rows, output))
    name = later.shards[0]
    for file in (name, layout.index_name(name)):
        make_file(output, file, (mine / file).read_bytes())
        record_hash(open_storage(output), file, hash_of(output / file))
    assert content_of(output)[name] != expected[name]
    finish_run(options, later, write_shards(later, options))
    assert content_of(output) == expected


def test_write_shard_of_an_earlier_run_with_other_images_is_not_published(
    rows: Rows, other: Rows, tmp_path: Path
) -> None:
    output, mine = tmp_path / "b", tmp_path / "c"
    options = options_of(output, **SAME)
    write(other, mine, **SAME)
    later = begin_run(options, write_parts(rows, output))
    names = write_shards(later, options)
    for file in (names[0], layout.index_name(names[0])):
        (output / file).write_bytes((mine / file).read_bytes())
    with pytest.raises(StorageError, match="a worker of another run has written a shard"):
        finish_run(options, later, names)
    assert not (output / layout.MANIFEST).exists()


def test_write_run_removed_by_clean_is_not_published(rows: Rows, tmp_path: Path) -> None:
    options = options_of(tmp_path / "b", **SAME)
    planned = begin_run(options, write_parts(rows, tmp_path / "b"))
    names = write_shards(planned, options)
    clean(str(tmp_path / "b"))
    with pytest.raises(LockedError):
        finish_run(options, planned, names)
    assert content_of(tmp_path / "b") == {}


def test_write_while_the_output_is_locked_is_refused(rows: Rows, tmp_path: Path) -> None:
    from records.storage import open_storage

    with (
        open_storage(tmp_path / "b").lock(),
        pytest.raises(Exception, match="another run is writing here"),
    ):
        write(rows, tmp_path / "b", **SAME)


def test_write_permanent_error_of_a_shard_is_the_error_of_the_pipeline(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any) -> None:
        raise OutputError("the disk is full", path="/data", hint="free some")

    monkeypatch.setattr("pipelines.writing.shard.publish_shard", fail)
    with pytest.raises(Exception, match=r"/data: the disk is full; free some .*Publish"):
        write(rows, tmp_path / "b", **SAME)
