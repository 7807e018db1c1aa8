"""`convert --quality` saves what the command `quality` would save."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import shardmill as sm
from pipelines.clean import clean
from pipelines.writing import shard
from records.errors import OutputError, UsageError
from records.quality import measurement
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture
from tests.pipelines.shards import OPTIONS, SHARDS
from tests.pipelines.test_resume import REAL_WRITE, StoppedError, stop_at
from tests.records.quality.test_quality import encode, picture


@pytest.fixture
def mixed(source: Path) -> Path:
    """The source with a JPEG, a GIF and files that are rejected."""
    make_file(source, "cat/photo.jpg", encode(picture(0), "JPEG"))
    make_file(source, "cat/drawing.gif", make_picture(1, kind="GIF"))
    make_file(source, "dog/bad.png", CORRUPT)
    make_file(source, "dog/cut.jpg", encode(picture(1), "JPEG")[:-900])
    return source


def measurements(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in content_of(folder).items() if "quality/" in name}


@pytest.mark.parametrize("options", [{}, {"test": 0.3, "processes": 2}])
def test_convert_quality_saves_the_files_of_the_command_and_changes_nothing_else(
    mixed: Path, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, quality in (("plain", False), ("data", True)):
        sm.convert(mixed, tmp_path / name, shards=3, quality=quality, **options)
    assert measurements(tmp_path / "plain") == {}
    sm.quality(tmp_path / "plain")
    assert content_of(tmp_path / "data") == content_of(tmp_path / "plain")
    assert len(measurements(tmp_path / "data")) >= 3
    monkeypatch.setattr(measurement, "decode_reduced", lambda *_, **__: pytest.fail("decoded"))
    assert sm.quality(tmp_path / "data") == sm.quality(tmp_path / "plain")
    assert list(sm.verify(tmp_path / "data")) == []


@pytest.mark.usefixtures("mixed")
def test_convert_quality_in_a_subprocess_saves_the_same(
    convert: Convert, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(**OPTIONS, quality=True)
    monkeypatch.setattr("pipelines.run_state.mark_started", lambda _, name: name != SHARDS[1])
    convert(**OPTIONS, quality=True, output=str(tmp_path / "isolated"))
    assert content_of(tmp_path / "isolated") == content_of(output)


@pytest.mark.usefixtures("mixed")
def test_convert_quality_stopped_run_resumes_and_is_cleaned(
    convert: Convert, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(**OPTIONS, quality=True, output=str(tmp_path / "expected"))
    stop_at(monkeypatch, SHARDS[2])
    with pytest.raises(StoppedError):
        convert(**OPTIONS, quality=True)
    monkeypatch.setattr(shard, "convert_images", REAL_WRITE)
    assert len(measurements(output)) == 2
    shutil.copytree(output, tmp_path / "copy")
    clean(str(tmp_path / "copy"))
    assert [*(tmp_path / "copy").iterdir()] == []
    assert convert(**OPTIONS, quality=True).shards_kept == 2
    assert content_of(output) == content_of(tmp_path / "expected")


def test_append_quality_measures_the_new_generation(
    mixed: Path, convert: Convert, output: Path
) -> None:
    convert()
    make_file(mixed, "cat/new.jpg", encode(picture(2), "JPEG"))
    convert(append=True, quality=True)
    assert [name.split("/")[:3] for name in measurements(output)] == [
        ["generations", "0002", "quality"]
    ]
    found = measurements(output)
    sm.quality(output)
    assert measurements(output).items() > found.items()


def test_convert_quality_without_decoding_is_an_error(
    source: Path, convert: Convert, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--quality measures decoded images"):
        sm.convert(source, tmp_path / "data", check="header", quality=True)
    assert not (tmp_path / "data").exists()
    sm.convert(source, tmp_path / "data", check="header")
    make_file(source, "cat/new.png", make_picture(77))
    with pytest.raises(UsageError, match="omit --check header"):
        sm.append(source, tmp_path / "data", quality=True)


def test_convert_quality_file_of_the_user_is_kept(convert: Convert, output: Path) -> None:
    name = f"quality/{SHARDS[0].removesuffix('.tfrecord')}.parquet"
    mine = make_file(output, name, b"mine")
    with pytest.raises(OutputError, match="contains no measurements"):
        convert(**OPTIONS, quality=True)
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    assert convert(**OPTIONS, quality=True).status == "converted"
