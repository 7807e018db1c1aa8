"""Predictions for files in class folders are compared with the names of the folders."""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from records.errors import UsageError
from records.storage.local import LocalStorage
from shardmill.cli import shardmill
from tests.trainers.conftest import LABELS, make_source, write_shapes
from trainers.evaluation import Evaluation, evaluate
from trainers.prediction import FilePrediction, ImageFile, evaluate_files
from trainers.prediction.true_classes import find_true_classes

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = range(400, 424)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 shapes in class folders, a damaged one, and files outside the folders of classes."""
    folder = tmp_path_factory.mktemp("labelled") / "photos"
    files = {make_source(number).key.decode(): make_source(number).data for number in NUMBERS}
    files |= {f"{LABELS[0]}/bad.jpg": b"", "weeds/1.jpg": make_source(0).data}
    files |= {"weeds/deep/2.jpg": make_source(1).data, "3.jpg": make_source(2).data}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def listed(*names: str) -> list[ImageFile]:
    """Files in the folder `/data/roses`, by their names relative to it."""
    return [ImageFile(f"/data/roses/{name}", LocalStorage("/data/roses"), name) for name in names]


def single(name: str) -> ImageFile:
    """A file that the user has named."""
    folder, _, path = name.rpartition("/")
    return ImageFile(name, LocalStorage(folder or "."), path)


@pytest.mark.parametrize(
    ("files", "classes"),
    [
        (listed("tulips/1.jpg", "iris/2/3.jpg", "weeds/4.jpg"), ["tulips", "iris", None]),
        (listed("train/tulips/1.jpg", "Test/iris/2.jpg"), ["tulips", "iris"]),
        (listed("train/1.jpg", "tulips/2.jpg"), [None, "tulips"]),
        (listed("1.jpg", "deep/2.jpg"), ["roses", "roses"]),
        (listed("1.jpg", "iris/2.jpg"), ["roses", "iris"]),
        (listed("e\N{COMBINING ACUTE ACCENT}/1.jpg"), ["é"]),
        ([single("a/tulips/1.jpg"), single("iris/2.jpg"), single("b/3.jpg")],
         ["tulips", "iris", None]),
        ([single("s3://bucket/tulips/1.jpg")], ["tulips"]),
        ([*listed("weeds/1.jpg"), single("iris/2.jpg")], ["roses", "iris"]),
    ],
)  # fmt: skip
def test_find_true_classes_follows_the_layouts_of_convert(
    files: list[ImageFile], classes: list[str | None]
) -> None:
    found = find_true_classes(files, ["é", "iris", "roses", "tulips"])
    assert list(found.classes) == classes
    assert sum(found.unknown_folders.values()) == classes.count(None)


def test_find_true_classes_file_without_folder_takes_the_name_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tulips").mkdir()
    monkeypatch.chdir(tmp_path / "tulips")
    assert find_true_classes([single("1.jpg")], ["tulips"]).classes == ("tulips",)


def test_find_true_classes_no_folder_is_a_class_is_one_error() -> None:
    with pytest.raises(UsageError) as caught:
        find_true_classes(listed("weeds/1.jpg", "2.jpg"), ["iris", "tulips"])
    assert "expected iris, tulips, got roses, weeds" in str(caught.value)


def test_evaluate_files_equals_evaluate_on_the_dataset_of_the_files(
    run_path: Path, photos: Path, tmp_path: Path
) -> None:
    write_shapes(tmp_path / "data", {"test": [NUMBERS]})
    expected = evaluate(run_path, tmp_path / "data")
    assert isinstance(expected, Evaluation)
    seen: list[FilePrediction] = []
    found = evaluate_files(run_path, photos, on_prediction=seen.append)
    assert (found.images, found.accuracy) == (len(NUMBERS), expected.accuracy)
    assert found.accuracy_interval == expected.accuracy_interval
    assert found.per_class == expected.per_class
    assert found.unknown_folders == {"photos": 1, "weeds": 2}
    assert found.without_prediction == 1
    wrong = Counter((each.truth, each.class_name) for each in seen if each.is_wrong)
    assert {(each.class_name, each.predicted): each.images for each in found.confusions} == wrong
    assert [each.images for each in found.confusions] == sorted(wrong.values(), reverse=True)


def test_predict_truth_csv_json_and_text_agree(
    run_path: Path, photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    arguments = ["predict", str(run_path), str(photos), "--truth"]
    ended = CliRunner().invoke(shardmill, [*arguments, "--json", "--csv", str(table)])
    assert ended.exit_code == 0, ended.output
    printed = json.loads(ended.stdout)
    summary = printed["summary"]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["file", "truth", "class"]
    assert [row["truth"] for row in rows] == [
        each.get("truth", "") for each in printed["predictions"]
    ]
    counted = [row for row in rows if row["truth"] and not row["reason"]]
    right = sum(row["truth"] == row["class"] for row in counted)
    assert summary["images"] == len(counted) == len(NUMBERS)
    assert summary["accuracy"] == right / len(counted)
    text = CliRunner().invoke(shardmill, arguments)
    lines = text.stdout.splitlines()
    assert sum("  (is " in line for line in lines) == len(counted) - right
    left_out = "not in the accuracy, because the folder is not a class: weeds (2 files)"
    assert lines[-2].startswith(left_out)
    assert lines[-1] == "not measured: 1 file without a prediction"


@pytest.mark.usefixtures("refuse_backend")
def test_predict_truth_without_class_folder_is_refused_before_loading(
    run_path: Path, photos: Path
) -> None:
    for arguments, message in (
        ([str(photos / "weeds"), "--truth"], "no folder of the files is named after a class"),
        ([str(photos), "--truth", "--csv-parts", "out"], "--csv-parts excludes"),
    ):
        ended = CliRunner().invoke(shardmill, ["predict", str(run_path), *arguments])
        assert isinstance(ended.exception, UsageError)
        assert message in str(ended.exception)
