from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.clean import clean
from records.errors import InputNotFoundError, LockedError, TooManyRejectsError
from records.format import layout
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file


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
    assert content_of(output) == dataset


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
