"""Runs of exports: resumption, refusal, and equal bytes."""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest

from pipelines.edit import remove
from pipelines.export_dataset import ExportReport, export_dataset
from pipelines.export_dataset.plan import FileSize
from records.dataset import open_dataset
from records.errors import CorruptDataError, InputNotFoundError, OutputError, UsageError
from records.exchange import FORMATS
from records.format.layout import WORK_FOLDER
from records.runtime.extras import install_command
from records.runtime.shard_worker import RunnerConfig
from records.storage import open_storage
from records.storage.work_folder import record_command, unfinished_command
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file

SLOW = ("parquet", "tfds", "arrayrecord", "mds")
"""Formats whose test starts processes; the quick test of another format has the same steps."""


class KilledError(Exception):
    """The process of a worker was killed."""


@pytest.fixture
def data(convert: Convert, output: Path) -> Path:
    convert(test=6, shards=2)
    return output


def export(data: Path, output: Path, name: Any = "webdataset", **options: Any) -> ExportReport:
    given = {"format": name, "images_per_file": 4, **options}
    return export_dataset(str(data), str(output), **given)


@pytest.fixture
def killed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the output of an export that was killed while it wrote its third file."""
    module = FORMATS["webdataset"].load()
    write, written = module.write, list[Any]()

    def write_two(*arguments: Any) -> None:
        if len(written) == 2:
            raise KilledError
        write(*arguments)
        written.append(arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write", write_two)
        with pytest.raises(KilledError):
            export(data, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize(
    "name", ["webdataset", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_export_files_do_not_depend_on_processes_or_runs(
    data: Path, tmp_path: Path, name: str
) -> None:
    first = export(data, tmp_path / "one", name, processes=1)
    export(data, tmp_path / "two", name, processes=2)
    files = content_of(tmp_path / "one")
    assert files == content_of(tmp_path / "two")
    manifest = json.loads(files["export.json"])
    assert [file["records"] for file in manifest["files"]] == [3, 4, 4, 4, 3, 3]
    assert {file["name"] for file in manifest["files"]} < files.keys()
    assert (first.status, first.files, first.files_kept) == ("exported", 6, 0)
    assert first.bytes == sum(file["bytes"] for file in manifest["files"])


def test_export_complete_does_nothing(data: Path, tmp_path: Path) -> None:
    first = export(data, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    second = export(data, tmp_path / "out")
    assert (second.status, second.files_kept) == ("nothing-to-do", first.files)
    assert second.bytes == first.bytes
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_export_killed_then_resumed_keeps_finished_files(
    data: Path, killed: Path, tmp_path: Path
) -> None:
    assert unfinished_command(open_storage(killed)) == "export-dataset"
    assert not (killed / "export.json").exists()
    finished = {path: path.stat().st_ino for path in killed.glob("*.tar")}
    assert len(finished) == 2
    report = export(data, killed)
    assert (report.status, report.files_kept) == ("exported", 2)
    assert {path: path.stat().st_ino for path in finished} == finished
    export(data, tmp_path / "whole")
    assert content_of(killed) == content_of(tmp_path / "whole")
    assert not (killed / WORK_FOLDER).exists()


def test_export_unfinished_output_is_no_dataset(killed: Path) -> None:
    with pytest.raises(InputNotFoundError, match="`shardmill export-dataset` is unfinished"):
        open_dataset(killed)


def test_export_with_other_options_refuses_the_output(
    data: Path, killed: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="unfinished and contains another export"):
        export(data, killed, images_per_file=5)
    export(data, tmp_path / "done")
    with pytest.raises(OutputError, match="contains another export"):
        export(data, tmp_path / "done", split="test")
    remove(str(data), keys=["cat/001.png"])
    with pytest.raises(OutputError, match="contains another export"):
        export(data, tmp_path / "done")
    assert export(Path(f"{data}@1"), tmp_path / "done").status == "nothing-to-do"


def test_export_never_replaces_files_of_the_user(data: Path, tmp_path: Path) -> None:
    mine = make_file(tmp_path / "out", "test-000001.tar", b"mine")
    with pytest.raises(OutputError, match="the file already exists") as found:
        export(data, tmp_path / "out")
    assert found.value.path == str(mine)
    assert mine.read_bytes() == b"mine"


def test_export_into_a_dataset_or_a_run_of_another_command_is_refused(
    data: Path, tmp_path: Path, convert: Convert
) -> None:
    convert(output=str(tmp_path / "other"))
    before = content_of(tmp_path / "other")
    with pytest.raises(OutputError, match="already contains a dataset"):
        export(data, tmp_path / "other")
    assert content_of(tmp_path / "other") == before
    record_command(open_storage(tmp_path / "begun"), "compact")
    with pytest.raises(OutputError, match="unfinished run of `shardmill compact`"):
        export(data, tmp_path / "begun")


def test_export_dry_run_writes_nothing(data: Path, tmp_path: Path) -> None:
    report = export(data, tmp_path / "out", dry_run=True)
    assert (report.status, report.files, report.images) == ("planned", 6, 21)
    assert not (tmp_path / "out").exists()


def test_export_damaged_record_leaves_no_file_of_it(data: Path, tmp_path: Path) -> None:
    (shard,) = data.glob("test-*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorruptDataError):
        export(data, tmp_path / "out", images_per_file=1000)
    assert not list((tmp_path / "out").glob("test-*"))


def open_full_file(**_: Any) -> IO[bytes]:
    return Path("/dev/full").open("r+b", buffering=0)


class FullFolder(tempfile.TemporaryDirectory[str]):
    """A temporary folder without space for the file that is written to it."""

    def __enter__(self) -> str:
        folder = super().__enter__()
        (Path(folder) / "new.array_record").symlink_to("/dev/full")
        return folder


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a full device")
@pytest.mark.parametrize("name", ["mds", "arrayrecord"])
def test_export_with_full_temporary_folder_names_this_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("records.exchange.mds._BUFFER_BYTES", 1)
    monkeypatch.setattr(tempfile, "TemporaryFile", open_full_file)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", FullFolder)
    with pytest.raises(OutputError, match="temporary files cannot be written") as found:
        export(data, tmp_path / "out", name, processes=1)
    assert found.value.path == tempfile.gettempdir()
    assert "TMPDIR" in str(found.value.hint)
    assert not (tmp_path / "out" / "export.json").exists()


def test_export_to_and_from_memory(data: Path, tmp_path: Path, memory: Any) -> None:
    for path in data.rglob("*"):
        if path.is_file():
            memory.pipe(f"/data/{path.relative_to(data)}", path.read_bytes())
    report = export_dataset(
        "memory://data", "memory://out", format="webdataset", images_per_file=4, processes=2
    )
    export(data, tmp_path / "out")
    expected = content_of(tmp_path / "out")
    assert report.status == "exported"
    assert {
        name.removeprefix("/out/"): memory.cat(name) for name in memory.find("/out")
    } == expected


@pytest.mark.parametrize("name", ["rose/1.jpg", "notes.txt"])
def test_export_into_a_folder_with_other_files_is_refused(
    data: Path, tmp_path: Path, name: str
) -> None:
    make_file(tmp_path / "out", ".git/config", b"")
    mine = make_file(tmp_path / "out", name, b"mine")
    with pytest.raises(OutputError, match="the folder contains other files"):
        export(data, tmp_path / "out")
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    assert export(data, tmp_path / "out").status == "exported"


def test_export_folder_dry_run_refuses_what_the_export_refuses(data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for dry_run in (True, False):
        with pytest.raises(OutputError, match="the folder already exists"):
            export_dataset(str(data), str(tmp_path / "out"), format="folder", dry_run=dry_run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images_per_file": 4}, "--images-per-file"),
        ({"file_mb": 4}, "--file-mb"),
        ({"runner": RunnerConfig("prism")}, "--runner"),
    ],
)
def test_export_folder_option_that_does_not_apply_is_refused(
    data: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_dataset(str(data), str(tmp_path / "out"), format="folder", **options)


def test_export_two_sizes_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        export(data, tmp_path / "out", file_mb=3)


@pytest.mark.parametrize(
    ("size", "records", "megabytes", "files"),
    [
        (FileSize(), 0, 0, 0),
        (FileSize(), 10, 0.001, 1),
        (FileSize(), 10_000, 512, 2),
        (FileSize(), 10_000, 512.1, 3),
        (FileSize(file_mb=1), 10, 512, 10),
        (FileSize(images_per_file=3), 10, 512, 4),
    ],
)
def test_file_size_gives_number_of_files(
    size: FileSize, records: int, megabytes: float, files: int
) -> None:
    assert size.count_files(records, int(megabytes * 1e6)) == files


def test_webdataset_archive_is_read_by_tarfile(data: Path, tmp_path: Path) -> None:
    export(data, tmp_path / "out", images_per_file=100)
    with tarfile.open(tmp_path / "out" / "test-000000.tar") as archive:
        members = archive.getmembers()
    assert len(members) == 3 * 6
    assert {(it.mtime, it.uid, it.gid, it.mode, it.uname) for it in members} == {
        (0, 0, 0, 0o644, "")
    }


def test_export_without_its_package_names_the_command_that_installs_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "array_record", None)
    with pytest.raises(UsageError, match="array_record is not installed") as found:
        export(data, tmp_path / "out", "arrayrecord")
    assert found.value.hint == install_command("arrayrecord")
    assert not (tmp_path / "out").exists()
