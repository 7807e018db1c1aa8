"""Tests of the conversion of a source before a training run."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import shardmill as sm
from records.errors import InputNotFoundError, OutputError, ShardmillError, UsageError
from shardmill.cli import shardmill
from shardmill.source_dataset import make_dataset
from tests.faults.calls import KilledError
from tests.pipelines.pictures import make_folders
from trainers.options import TrainOptions
from trainers.runs.result import TrainingResult


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_folders(tmp_path / "photos", cat=12, dog=11)


def make(
    location: Path | str, data: Path | None = None, **options: object
) -> tuple[str, list[str]]:
    """Return the dataset of a location, and the messages."""
    lines: list[str] = []
    arguments = {"options": TrainOptions(), "run": "run", **options}
    made = make_dataset(
        str(location),
        None if data is None else str(data),
        on_message=lines.append,
        **arguments,  # type: ignore[arg-type]
    )
    return made.location, lines


def count(location: str) -> dict[str, int]:
    """Return the number of records of each class of a dataset."""
    records = sm.open_dataset(location)["train"]
    names = [record.class_name for record in records]
    return {name: names.count(name) for name in sorted(set(names))}


def test_source_is_converted_once_and_its_dataset_follows_it(photos: Path, cache: Path) -> None:
    location, lines = make(photos)
    assert Path(location).parent == cache / "shardmill" / "datasets"
    assert lines[0] == f"converted 23 images of {photos} to {location}"
    assert count(location) == {"cat": 12, "dog": 11}
    for same in (photos, f"{photos}/"):
        again, lines = make(same)
        assert (again, lines) == (location, [f"{same} is converted: {location}"])
    make_folders(photos, bird=3)
    for path in sorted((photos / "dog").iterdir())[:9]:
        path.unlink()
    again, lines = make(photos)
    assert lines[:2] == [
        f"converted 3 images of {photos} to {location}", "9 images removed, 0 with a new class"
    ]  # fmt: skip
    assert count(again) == {"bird": 3, "cat": 12, "dog": 2}
    assert list(sm.verify(again)) == []


def test_changed_image_is_reported(photos: Path) -> None:
    location, _ = make(photos)
    first, second = sorted((photos / "cat").iterdir())[:2]
    first.write_bytes(second.read_bytes())
    _, lines = make(photos)
    assert any(
        line.startswith("1 image changed") and line.endswith(f"remove {location}") for line in lines
    ), lines


def test_data_names_the_folder_of_the_dataset(photos: Path, tmp_path: Path, cache: Path) -> None:
    location, lines = make(photos, tmp_path / "data")
    assert (location, len(lines)) == (str(tmp_path / "data"), 1)
    assert sm.open_dataset(location)
    assert not cache.exists()
    with pytest.raises(UsageError, match=r"this is a dataset.*got --data; omit --data"):
        make(location, tmp_path / "other")


def test_archive_is_a_source(photos: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in photos.rglob("*.*"):
            archive.write(path, path.relative_to(photos))
    assert count(make(tmp_path / "photos.zip")[0]) == {"cat": 12, "dog": 11}


def test_dry_run_reports_the_conversion_and_writes_nothing(
    photos: Path, tmp_path: Path, cache: Path
) -> None:
    arguments = ["train", str(photos), str(tmp_path / "run"), "--dry-run", "--json"]
    result = CliRunner().invoke(shardmill, arguments)
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert (printed["status"], printed["images_to_convert"], printed["classes"]) == (
        "planned", 23, 2,
    )  # fmt: skip
    assert f"would convert 23 images of {photos} to {printed['dataset']}" in result.stderr
    assert not cache.exists()
    assert not (tmp_path / "run").exists()


def test_interrupted_conversion_is_resumed_by_the_same_call(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise the conversion may end before it reports its progress.
    monkeypatch.setattr("pipelines.runners.driver._POLL_SECONDS", 0)

    def kill(_done: int, _total: int) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        make(photos, on_progress=kill)
    location, lines = make(photos)
    assert lines[0].startswith("converted 23 images")
    assert list(sm.verify(location)) == []


def test_existing_run_continues_on_the_dataset_as_it_is(photos: Path) -> None:
    location, _ = make(photos)
    make_folders(photos, bird=3)
    assert make(photos, is_resumed=True) == (location, [])
    assert count(location) == {"cat": 12, "dog": 11}


def test_datasets_and_missing_paths_are_not_converted(
    photos: Path, tmp_path: Path, cache: Path
) -> None:
    sm.convert(photos, tmp_path / "data")
    shutil.copytree(tmp_path / "data", tmp_path / "lost")
    (tmp_path / "lost" / "dataset.json").unlink()
    (tmp_path / "unfinished" / ".shardmill" / "run").mkdir(parents=True)
    (tmp_path / "unfinished" / ".shardmill" / "run" / "config.json").touch()
    for name in ("data", "data@1", "data/dataset.json", "lost", "unfinished", "missing"):
        assert make(tmp_path / name) == (str(tmp_path / name), [])
    assert not cache.exists()


def test_folder_that_is_neither_is_refused_with_both_hints(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputNotFoundError) as found:
        make(tmp_path / "empty")
    text = str(found.value)
    assert "neither a dataset nor a source of images" in text
    assert "shardmill convert SOURCE OUTPUT" in text
    assert "one folder per class" in text


def test_errors_of_the_run_are_reported_before_images_are_converted(
    photos: Path, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.doc").touch()
    cases: list[tuple[type[ShardmillError], dict[str, Any], str]] = [
        (OutputError, {"run": str(tmp_path / "taken")}, "contains files"),
        (UsageError, {"run": str(photos / "run")}, "the run is inside the source"),
        (UsageError, {"options": TrainOptions(mode="transfer")}, "has no pretrained weights"),
    ]
    for kind, options, message in cases:
        with pytest.raises(kind, match=message):
            make(photos, **options)
    assert not cache.exists()


def test_too_many_rejects_name_the_command_that_allows_them(photos: Path) -> None:
    for number in range(20):
        (photos / "cat" / f"broken{number}.jpg").write_bytes(b"\xff\xd8\xff broken")
    with pytest.raises(ShardmillError, match=r"shardmill convert \S+ OUTPUT --max-rejects N"):
        make(photos)


def test_train_on_a_folder_of_images_trains_on_its_dataset(photos: Path, tmp_path: Path) -> None:
    arguments = ["train", str(photos), str(tmp_path / "run"), "--image-size", "16"]
    result = CliRunner().invoke(shardmill, [*arguments, "--epochs", "1", "--json"])
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith(f"converted 23 images of {photos} to ")
    printed = json.loads(result.stdout)
    assert printed["training_images"] + printed["validation_images"] == 23
    found = sm.train(photos, tmp_path / "run", resume=True)
    assert isinstance(found, TrainingResult)
    assert found.epochs == 1


def test_error_of_the_conversion_names_the_command_that_has_its_options(
    photos: Path, tmp_path: Path
) -> None:
    photos.rename(tmp_path / "elsewhere")
    photos.mkdir()
    (photos / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    with pytest.raises(UsageError, match=r"--follow-symlinks.*use `shardmill convert \S+ OUTPUT`"):
        make(photos)
