from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.clean import clean
from records.errors import InputNotFoundError, LockedError, TooManyRejectsError
from records.format import layout
from records.storage import open_storage
from records.verification import verify
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture


@pytest.fixture
def unfinished(convert: Convert, source: Path, output: Path) -> Path:
    """A run that ended with too many rejects, beside a file of somebody else's."""
    make_file(output, "README.md", b"mine")
    make_file(source, "cat/bad.png", CORRUPT)
    with pytest.raises(TooManyRejectsError):
        convert(max_rejects=0, shards=2)
    return output


def test_clean_unfinished_run_removes_only_its_own_files(
    unfinished: Path, convert: Convert
) -> None:
    make_file(unfinished, "index/notes.txt", b"mine too")
    expected = [path for path in unfinished.rglob("*") if path.is_file()]
    cleaned = clean(str(unfinished))
    assert content_of(unfinished) == {"README.md": b"mine", "index/notes.txt": b"mine too"}
    assert not (unfinished / layout.WORK_FOLDER).exists()
    ours = [
        p for p in expected if layout.WORK_FOLDER not in p.parts and p.suffix not in {".md", ".txt"}
    ]
    assert cleaned.files == len(ours)
    (unfinished / "index" / "notes.txt").unlink()
    assert convert(seed=1).status == "converted"


def test_clean_dry_run_reports_and_removes_nothing(unfinished: Path) -> None:
    before = content_of(unfinished)
    foretold = clean(str(unfinished), dry_run=True)
    assert content_of(unfinished) == before
    assert clean(str(unfinished)) == foretold


def test_clean_finished_dataset_is_refused_and_unchanged(convert: Convert, output: Path) -> None:
    convert()
    before = content_of(output)
    with pytest.raises(InputNotFoundError):
        clean(str(output))
    assert content_of(output) == before


def test_clean_run_killed_after_manifest_removes_only_run_state(
    convert: Convert, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import convert as module

    class KilledError(Exception):
        pass

    def killed(*given: Any, **named: Any) -> None:
        real(*given, **named)
        raise KilledError

    from pipelines.writing.publish import publish as real

    monkeypatch.setattr(module, "publish", killed)
    with pytest.raises(KilledError):
        convert()
    dataset = {n: c for n, c in content_of(output).items() if layout.WORK_FOLDER not in n}
    assert layout.MANIFEST in dataset
    assert clean(str(output)).files == 0
    left = content_of(output)
    assert b"21 images" in left.pop(layout.CARD)
    assert left == dataset


def test_clean_no_unfinished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        clean(str(tmp_path / "nowhere"))
    make_file(tmp_path, "train-00000-of-00001.tfrecord", b"somebody's")
    with pytest.raises(InputNotFoundError):
        clean(str(tmp_path))


def test_clean_running_conversion_is_refused_as_locked(unfinished: Path) -> None:
    before = content_of(unfinished)
    with open_storage(unfinished).lock(), pytest.raises(LockedError):
        clean(str(unfinished))
    assert content_of(unfinished) == before


def test_clean_output_url_removes_all_files_of_run(
    convert: Convert, source: Path, memory: Any
) -> None:
    make_file(source, "cat/bad.png", CORRUPT)
    with pytest.raises(TooManyRejectsError):
        convert(max_rejects=0, output="memory://data")
    assert clean("memory://data").files > 2
    assert memory.find("/data") == []


def test_clean_removes_its_empty_folders_and_no_others(
    convert: Convert, source: Path, output: Path
) -> None:
    for folder in ("mine", "index-mine", "generations/mine"):
        (output / folder).mkdir(parents=True)
    convert()
    make_file(source, "cat/new.png", make_picture(900))
    make_file(source, "cat/bad.png", CORRUPT)
    with pytest.raises(TooManyRejectsError):
        convert(max_rejects=0, append=True)
    assert (output / "generations" / "0002").is_dir()
    clean(str(output))
    folders = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_dir()}
    assert folders == {"mine", "index-mine", "generations", "generations/mine", "index"}


def test_clean_unfinished_first_run_leaves_no_folder(unfinished: Path) -> None:
    clean(str(unfinished))
    assert [path.name for path in unfinished.iterdir()] == ["README.md"]


FOREIGN = ["notes.txt", "plan.json.bak", "shards/notes.txt", "staging/notes.txt", "mine/a.json"]


@pytest.mark.parametrize("end", ["converted", "cleaned", "resumed"])
def test_files_of_user_in_work_folder_are_kept_and_reported(
    convert: Convert, source: Path, output: Path, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    mine = {output / layout.WORK_FOLDER / name for name in FOREIGN}
    for path in mine:
        make_file(path.parent, path.name, b"mine")
    if end != "converted":
        make_file(source, "cat/bad.png", CORRUPT)
        with pytest.raises(TooManyRejectsError):
            convert(max_rejects=0)
    if end == "cleaned":
        clean(str(output))
    else:
        assert convert(max_rejects=1).status == "converted"
        assert list(verify(output)) == []
    work = (output / layout.WORK_FOLDER).rglob("*")
    assert {path for path in work if path.is_file()} == mine
    assert {path.read_bytes() for path in mine} == {b"mine"}
    assert "kept, because shardmill did not write it" in caplog.text
    with pytest.raises(InputNotFoundError):
        clean(str(output))


def test_file_of_user_in_work_folder_at_url_is_kept(
    convert: Convert, source: Path, memory: Any
) -> None:
    memory.pipe("/data/.shardmill/notes.txt", b"mine")
    convert(output="memory://data")
    assert [path for path in memory.find("/data") if ".shardmill" in path] == [
        "/data/.shardmill/notes.txt"
    ]
