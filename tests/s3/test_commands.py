"""Every command that takes URLs, on a dataset in a bucket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.pictures import content_of, make_folders, make_picture
from tests.s3 import runs
from tests.s3.server import BUCKET, S3Server

ROOT = f"s3://{BUCKET}/commands"
DATA = f"{ROOT}/data"
SIZE = (40, 40)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images of two classes."""
    folder = make_folders(tmp_path_factory.mktemp("photos") / "photos", cat=0, dog=0)
    for number in range(40):
        content = make_picture(number, kind="JPEG", size=SIZE)
        (folder / ("cat", "dog")[number % 2] / f"{number}.jpg").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def data(server: S3Server, photos: Path) -> str:
    """Convert the images to a dataset in the bucket."""
    command = ("convert", photos, DATA, "--test=0.3", "--shards=2", "--quiet")
    assert runs.run(server.environment, *command) == (0, "", "")
    return DATA


@pytest.fixture
def run(server: S3Server) -> Any:
    """Return a function that runs a command, which must succeed, and returns its output."""

    def run_now(*arguments: object) -> str:
        ended = runs.run(server.environment, *arguments)
        assert ended.status == 0, ended
        return ended.output

    return run_now


def test_verify_stats_inspect_commands_read_dataset_at_s3_url(data: str, run: Any) -> None:
    assert "40 records" in run("verify", data)
    assert "40 records" in run("verify", data, "--decode")
    assert json.loads(run("stats", data, "--json"))
    assert "2: cat, dog" in run("inspect", data)
    assert "image/encoded" in run("inspect", f"{data}/train-00000-of-00002.tfrecord")


def test_extract_command_s3_dataset_restores_image_folders(
    data: str, run: Any, photos: Path, tmp_path: Path
) -> None:
    run("extract", data, tmp_path / "again")
    stored = {name.partition("/")[2]: c for name, c in content_of(tmp_path / "again").items()}
    assert stored == content_of(photos)


def test_export_dataset_command_between_s3_urls_writes_files_of_local_export(
    data: str, run: Any, server: S3Server, tmp_path: Path
) -> None:
    options = ("--format", "webdataset", "--images-per-file", "10")
    run("export-dataset", data, tmp_path / "local", *options)
    first = json.loads(run("export-dataset", data, f"{ROOT}/shards", *options, "--json"))
    second = json.loads(run("export-dataset", data, f"{ROOT}/shards", *options, "--json"))
    assert (first["status"], second["status"]) == ("exported", "nothing-to-do")
    assert keys(server, f"{ROOT}/shards") == content_of(tmp_path / "local").keys()
    run("convert", f"{ROOT}/shards", tmp_path / "again", "--quiet")
    run("convert", tmp_path / "local", tmp_path / "expected", "--quiet")
    assert content_of(tmp_path / "again") == content_of(tmp_path / "expected")


def test_convert_command_s3_dry_run_writes_nothing(
    data: str, run: Any, photos: Path, server: S3Server, tmp_path: Path
) -> None:
    source = upload_source(server, photos)
    assert "would be written" in run("convert", source, tmp_path / "data", "--dry-run")
    assert "would be written" in run("convert", source, f"{ROOT}/dry", "--dry-run")
    assert keys(server, f"{ROOT}/dry") == set()


def test_convert_command_list_of_s3_urls_stores_images_and_rejects_missing(
    run: Any, photos: Path, server: S3Server, tmp_path: Path
) -> None:
    source = upload_source(server, photos)
    rows = [
        f"{source}/{path.relative_to(photos).as_posix()},{path.parent.name}"
        for path in sorted(photos.rglob("*.jpg"))
    ]
    content = "\n".join(["path,label", *rows, f"{source}/cat/none.jpg,cat"])
    server.client().put_object(Bucket=BUCKET, Key="commands/list.csv", Body=content.encode())
    report = json.loads(
        run(
            *("convert", photos, tmp_path / "data", "--list", f"{ROOT}/list.csv"),
            *("--allow-url", "--json", "--quiet"),
        )
    )
    assert report["counts"]["stored"] == 40
    assert report["rejects_by_reason"] == {"unreadable": 1}


def test_convert_command_s3_append_adds_only_new_images(
    run: Any, photos: Path, server: S3Server, tmp_path: Path
) -> None:
    """What is new is added, by a manifest that takes the place of the one before it."""
    command = ("convert", photos, f"{ROOT}/nights", "--append", "--json", "--quiet")
    assert json.loads(run(*command))["counts"]["stored"] == 40
    assert json.loads(run(*command))["status"] == "nothing-to-do"
    (photos / "cat" / "new.jpg").write_bytes(make_picture(99, kind="JPEG", size=SIZE))
    try:
        assert json.loads(run(*command))["counts"]["stored"] == 1
    finally:
        (photos / "cat" / "new.jpg").unlink()
    assert "41 records" in run("verify", f"{ROOT}/nights", "--decode")


@pytest.fixture(scope="module")
def model(data: str, server: S3Server) -> str:
    """Train a model on the dataset, and return the URL of the run."""
    model = f"{ROOT}/run"
    flags = ("--model=cnn", "--epochs=1", "--image-size=32", "--batch-size=8", "--quiet")
    assert runs.run(server.environment, "train", data, model, *flags).status == 0
    return model


def test_evaluate_command_s3_dataset_prints_accuracy(model: str, run: Any) -> None:
    assert 0 <= json.loads(run("evaluate", model, "--json"))["accuracy"] <= 1


def test_predict_command_s3_source_writes_csv_parts_idempotently(
    model: str, run: Any, photos: Path, server: S3Server
) -> None:
    source = upload_source(server, photos)
    assert len(run("predict", model, f"{source}/cat").splitlines()) == 20
    parts, flags = f"{ROOT}/predicted", ("--csv-parts", f"{ROOT}/predicted")
    run("predict", model, source, *flags)
    run("predict", model, source, *flags)
    assert keys(server, parts) == {"predictions.json", "predictions-00000-of-00001.csv"}


def test_featurize_command_s3_second_run_reports_nothing_to_do(
    data: str, run: Any, server: S3Server
) -> None:
    store = f"{ROOT}/features"
    flags = ("--model=mobilenet_v2", "--weights=none", "--image-size=32", "--json")
    assert json.loads(run("featurize", data, store, *flags))["status"] == "featurized"
    assert json.loads(run("featurize", data, store, *flags))["status"] == "nothing-to-do"
    assert not any(name.startswith(".shardmill") for name in keys(server, store))


def upload_source(server: S3Server, photos: Path) -> str:
    """Upload the images; return their URL."""
    client = server.client()
    for path in photos.rglob("*.jpg"):
        key = f"commands/photos/{path.relative_to(photos).as_posix()}"
        client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return f"{ROOT}/photos"


def keys(server: S3Server, folder: str) -> set[str]:
    """Return the names of all objects below a folder in the bucket."""
    prefix = folder.removeprefix(f"s3://{BUCKET}/") + "/"
    found = server.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {file["Key"].removeprefix(prefix) for file in found.get("Contents", ())}


def test_remove_and_relabel_commands_edit_dataset_at_s3_url(
    photos: Path, run: Any, tmp_path: Path
) -> None:
    url = f"{ROOT}/edited"
    run("convert", photos, url, "--test=0.3", "--shards=2", "--quiet")
    keys, corrected = tmp_path / "keys.txt", tmp_path / "corrected.csv"
    keys.write_text("cat/0.jpg\ndog/1.jpg\n")
    corrected.write_text("key,class\ncat/2.jpg,dog\n")
    removed = json.loads(run("remove", url, "--keys", keys, "--json"))
    assert (removed["removed"], removed["generation"]) == (2, 2)
    assert removed["old_shards"]
    assert json.loads(run("relabel", url, corrected, "--json"))["relabelled"] == 1
    assert "38 records" in run("verify", url, "--decode")
