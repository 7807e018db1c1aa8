from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.sources.path_checks import check_locations
from records.errors import InputNotFoundError, OutputError, UsageError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos.rar").write_bytes(b"PK")
    (tmp_path / "photo.jpg").write_bytes(b"")
    (tmp_path / "my Labels.CSV").write_bytes(b"path,label\n")
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("photos", "data"),
        ("photos", "photos-data"),
        ("photos/cat", "photos"),
        ("photos", "."),
        ("memory://photos", "memory://photos2"),
        ("photos", "memory://photos"),
    ],
)
def test_path_checks_output_next_to_or_above_source_is_accepted(
    here: Path, source: str, output: str
) -> None:
    check_locations(source, output)


@pytest.mark.parametrize(
    ("source", "output", "word"),
    [
        ("photos", "photos", "same folder"),
        ("photos", "photos/", "same folder"),
        ("photos", "link", "same folder"),
        ("photos", "photos/data", "inside the source"),
        ("photos", "link/data", "inside the source"),
        ("link", "photos/new/data", "inside the source"),
        (".", "data", "inside the source"),
        ("/", "data", "inside the source"),
        ("memory://a", "memory://a/", "same folder"),
        ("memory://a/", "memory://a/b", "inside the source"),
        ("photos.rar", "data", "extract it with its own program"),
        ("photo.jpg", "data", "one folder per class"),
        ("my Labels.CSV", "data", "convert FOLDER OUTPUT --list /.*/my Labels.CSV"),
        ("", "data", "the source is not a valid path"),
        ("photos", "", "the output is not a valid path"),
        ("photos\0", "data", "the source is not a valid path"),
    ],
)
def test_path_checks_invalid_source_or_output_is_refused_with_reason(
    here: Path, source: str, output: str, word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        check_locations(source, output)


def test_path_checks_file_url_inside_source_is_refused(here: Path) -> None:
    with pytest.raises(UsageError, match="inside the source"):
        check_locations(f"file://{here}/photos", "photos/data")
    with pytest.raises(UsageError, match="inside the source"):
        check_locations("photos", f"file://{here}/photos/my%20data")


def test_path_checks_source_not_found_is_refused(here: Path) -> None:
    with pytest.raises(InputNotFoundError, match="folder not found"):
        check_locations("nowhere", "data")


def test_path_checks_file_as_output_is_refused(here: Path) -> None:
    with pytest.raises(OutputError, match="is a file"):
        check_locations("photos", "photo.jpg")
