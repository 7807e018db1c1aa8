"""Saved fingerprints, and the files that later runs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipelines.compact import compact
from pipelines.edit import remove
from pipelines.report import Report
from pipelines.rollback import rollback
from pipelines.source_differences import RenamedFile
from pipelines.sources.reader import LocalFiles
from records import open_dataset, verify
from records.errors import OutputError, StorageError
from records.format import layout
from records.storage.local import LocalStorage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture
from tests.pipelines.shards import touch

SOURCE, OUTPUT = "memory://photos", "memory://data"

Reads = Callable[[], list[str]]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Return a function that returns, and forgets, the keys of the source files read so far."""
    read: list[str] = []
    read_remote, read_local = MemoryFileSystem.cat_file, LocalFiles.read_range

    def count_remote(self: MemoryFileSystem, path: str, *given: Any, **options: Any) -> bytes:
        if path.startswith("/photos/"):
            read.append(path.removeprefix("/photos/"))
        return bytes(read_remote(self, path, *given, **options))

    def count_local(self: LocalFiles, key: bytes, *given: Any, **options: Any) -> bytes:
        read.append(key.decode())
        return read_local(self, key, *given, **options)

    def pop() -> list[str]:
        found = sorted(read)
        read.clear()
        return found

    monkeypatch.setattr(MemoryFileSystem, "cat_file", count_remote)
    monkeypatch.setattr(LocalFiles, "read_range", count_local)
    return pop


@pytest.mark.parametrize("is_first_append", [False, True])
def test_append_every_run_reads_only_new_files(
    convert: Convert, source: Path, memory: Any, reads: Reads, is_first_append: bool
) -> None:
    for path in source.rglob("*.png"):
        memory.pipe_file(f"/photos/{path.relative_to(source)}", path.read_bytes())

    def run(output: str = OUTPUT, *, append: bool = True) -> Report:
        return convert(source=SOURCE, output=output, append=append)

    def add(number: int) -> str:
        key = f"cat/new-{number}.png"
        memory.pipe_file(f"/photos/{key}", make_picture(number, size=(40, 30)))
        return key

    run(append=is_first_append)
    assert len(reads()) == 21
    memory.rm_file("/photos/cat/000.png")  # the other files are still known
    assert (run().status, reads()) == ("nothing-to-do", [])
    for number in range(2):
        assert (run().status, reads()) == ("nothing-to-do", [])
        new = add(number)
        assert (run().counts.stored, reads()) == (1, [new])
    compact(OUTPUT, "memory://compacted")
    assert reads() == []
    new = add(2)
    report = run("memory://compacted")
    assert (report.counts.stored, reads()) == (1, [new])
    assert report.deleted == ("cat/000.png",)
    assert list(verify("memory://compacted", decode=True)) == []


@pytest.fixture
def append(convert: Convert) -> Convert:
    return lambda **options: convert(**{"append": True, **options})


def saved(output: Path) -> dict[bytes, tuple[int, bytes | None]]:
    """Return the fingerprint and the stored key of each file."""
    rows = pq.read_table(output / layout.FINGERPRINTS).to_pylist()
    return {row["key"]: (row["fingerprint"], row["stored_key"]) for row in rows}


def test_convert_saves_fingerprints_of_all_images_also_rejected_ones(
    convert: Convert, source: Path, output: Path
) -> None:
    make_file(source, "cat/bad.png", CORRUPT)
    make_file(source, "cat/notes.txt", b"notes")
    convert()
    assert saved(output) == {
        str(path.relative_to(source)).encode(): (path.stat().st_mtime_ns, None)
        for path in source.rglob("*.png")
    }


def test_convert_dry_run_saves_no_fingerprints(convert: Convert, output: Path) -> None:
    convert(dry_run=True)
    assert not output.exists()


@pytest.mark.parametrize("kind", ["convert", "append", "compact"])
def test_run_killed_before_fingerprints_saves_them_when_it_is_run_again(
    convert: Convert, source: Path, output: Path, tmp_path: Path, kind: str
) -> None:
    runs: dict[str, tuple[Path, Callable[[], object]]] = {
        "convert": (output, convert),
        "append": (output, lambda: convert(append=True)),
        "compact": (tmp_path / "new", lambda: compact(str(output), str(tmp_path / "new"))),
    }
    folder, run = runs[kind]
    convert()
    run()
    expected = saved(folder)
    (folder / layout.FINGERPRINTS).unlink()
    run()
    assert saved(folder) == expected


@pytest.mark.parametrize("kept_bytes", [None, 0, 4, -9])
def test_append_lost_or_damaged_fingerprints_read_every_file_and_give_same_dataset(
    append: Convert, source: Path, output: Path, reads: Reads, kept_bytes: int | None
) -> None:
    intact = output.with_name("intact")
    append()
    append(output=str(intact))
    path = output / layout.FINGERPRINTS
    content = path.read_bytes()
    path.unlink()
    if kept_bytes is not None:
        path.write_bytes(content[:kept_bytes])
    make_file(source, "dog/new.png", make_picture(50))
    (source / "cat/000.png").rename(source / "cat/moved.png")
    changed = source / "cat/001.png"
    changed.write_bytes(changed.read_bytes()[::-1])
    touch(changed)
    reads()
    report = append()
    assert len({*reads()}) == 22
    expected = append(output=str(intact))
    assert {*reads()} == {"cat/001.png", "cat/moved.png", "dog/new.png"}
    assert content_of(output) == content_of(intact)
    assert (report.modified, report.renamed) == (expected.modified, expected.renamed)


def test_compact_renamed_file_modified_later_stays_known(
    append: Convert, source: Path, output: Path, tmp_path: Path
) -> None:
    append()
    moved = (source / "cat/000.png").rename(source / "dog/moved.png")
    append()
    compact(str(output), str(tmp_path / "new"))
    assert saved(tmp_path / "new") == saved(output)
    moved.write_bytes(make_picture(99))
    report = append(output=str(tmp_path / "new"))
    assert (report.status, report.modified) == ("nothing-to-do", ("dog/moved.png",))


def test_append_removed_files_are_known_and_read_at_most_once(
    append: Convert, source: Path, output: Path, tmp_path: Path, reads: Reads
) -> None:
    append()
    files = {key: source / key for key in ("cat/000.png", "cat/001.png", "dog/000.png")}
    removed = [*files]
    remove(str(output), keys=removed)
    files["cat/001.png"].rename(source / "cat/moved.png")
    make_file(source, "cat/copy.png", files["dog/000.png"].read_bytes())
    reads()
    report = append()
    assert (report.status, report.counts.known, report.counts.found) == ("nothing-to-do", 22, 22)
    assert {*reads()} == {"cat/moved.png", "cat/copy.png"}
    rows = saved(output)
    keys = [rows[key][1] for key in (b"cat/moved.png", b"cat/copy.png", b"dog/000.png")]
    assert keys == [b"cat/001.png", b"dog/000.png", None]
    compact(str(output), str(tmp_path / "new"))
    for folder in (output, tmp_path / "new"):
        report = append(output=str(folder))
        assert (report.status, reads()) == ("nothing-to-do", [])
        assert any(note.startswith("4 files not added") for note in report.notes)
    # A modified copy is another image; the removed keys stay removed, whatever their content is.
    make_file(source, "cat/copy.png", make_picture(77))
    make_file(source, "cat/000.png", make_picture(78))
    report = append()
    assert (report.counts.stored, report.counts.known) == (1, 21)
    assert "cat/000.png" not in reads()
    # After a rollback over the removal, the file has its record again.
    rollback(str(output), to=1)
    report = append()
    assert report.renamed == (RenamedFile("cat/moved.png", "cat/001.png"),)
    assert {"cat/moved.png", "cat/000.png"} <= {*reads()}
    assert report.modified == ("cat/000.png",)
    assert list(verify(output, decode=True)) == []


def test_compact_again_keeps_newer_fingerprints(
    append: Convert, source: Path, output: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    append()
    compact(str(output), str(new))
    (source / "cat/000.png").rename(source / "cat/moved.png")
    append(output=str(new))
    expected = saved(new)
    assert expected[b"cat/moved.png"][1] == b"cat/000.png"
    assert compact(str(output), str(new)).status == "nothing-to-do"
    assert saved(new) == expected


@pytest.mark.parametrize("error", [OutputError("disk full"), StorageError("connection reset")])
def test_convert_fingerprints_that_cannot_be_written_do_not_fail_the_run(
    convert: Convert,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    real = LocalStorage.replace

    def fail(storage: LocalStorage, name: str, data: bytes) -> Any:
        if name == layout.FINGERPRINTS:
            raise error
        return real(storage, name, data)

    monkeypatch.setattr(LocalStorage, "replace", fail)
    assert convert().status == "converted"
    assert len(open_dataset(output)["train"]) == 21
    assert not (output / layout.FINGERPRINTS).exists()
    assert f"cannot be saved, so the next run reads every source file: {error}" in logged.text


@pytest.mark.parametrize("append", [False, True])
def test_run_with_nothing_to_do_leaves_no_work_folder(
    convert: Convert, source: Path, output: Path, append: bool
) -> None:
    convert()
    before = saved(output)
    touch(source / "cat/000.png")
    assert convert(append=append).status == "nothing-to-do"
    assert saved(output) != before
    assert not (output / layout.WORK_FOLDER).exists()


def test_compact_replaces_fingerprints_of_another_dataset(
    append: Convert, source: Path, output: Path, tmp_path: Path
) -> None:
    new, changed = tmp_path / "new", source / "cat/000.png"
    append()
    changed.write_bytes(changed.read_bytes()[::-1])
    touch(changed)
    append(output=str(new), max_rejects=1)
    for path in new.rglob("*"):  # the user removes the files of the old dataset, except one
        if path.is_file() and path != new / layout.FINGERPRINTS:
            path.unlink()
    compact(str(output), str(new))
    assert saved(new) == saved(output)
    assert append(output=str(new)).modified == ("cat/000.png",)


@pytest.fixture
def indexes_read(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Return a function that returns, and forgets, the names of the indexes read from a store."""
    read: list[str] = []
    real = MemoryFileSystem.cat_file

    def count(self: MemoryFileSystem, path: str, *given: Any, **options: Any) -> bytes:
        if "/index/" in path:
            read.append(path)
        return bytes(real(self, path, *given, **options))

    def pop() -> list[str]:
        found = sorted(read)
        read.clear()
        return found

    monkeypatch.setattr(MemoryFileSystem, "cat_file", count)
    return pop


def test_append_in_a_store_reads_only_indexes_whose_rows_are_not_saved(
    convert: Convert, source: Path, memory: Any, indexes_read: Reads
) -> None:
    numbers = iter(range(500, 600))

    def add(output: str, stored: int = 1) -> Report:
        make_file(source, f"cat/new-{(number := next(numbers))}.png", make_picture(number))
        indexes_read()
        report = convert(output=output, append=True, test=0.2)
        assert report.counts.stored == stored
        return report

    convert(output=OUTPUT, test=0.2)
    assert indexes_read() == []
    for _ in range(2):
        add(OUTPUT)
        assert indexes_read() == []
    touch(source / "cat/000.png")
    assert convert(output=OUTPUT, append=True, test=0.2).status == "nothing-to-do"
    assert indexes_read() == []
    (source / "cat/001.png").rename(source / "cat/moved.png")
    assert [file.key for file in add(OUTPUT).renamed] == ["cat/moved.png"]
    assert indexes_read() == []
    compact(OUTPUT, "memory://compacted")
    compact(OUTPUT, in_place=True)
    remove("memory://compacted", keys=["cat/002.png"])
    for number, output in enumerate((OUTPUT, "memory://compacted"), 1):
        report = add(output, stored=number)
        assert (indexes_read(), report.deleted, report.modified) == ([], (), ())
        assert list(verify(output, decode=True)) == []
    memory.rm_file(f"/data/{layout.FINGERPRINTS}")
    add(OUTPUT, stored=2)
    assert indexes_read() != []
    add(OUTPUT)
    assert indexes_read() == []
