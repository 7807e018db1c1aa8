"""A collection is predicted in parts: whole or absent, gone on with, or refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from records.errors import InputNotFoundError, OutputError, StorageError, UsageError
from records.runtime.shard_worker import RunnerConfig
from records.storage import open_storage
from records.text.csv_rows import encode_csv_row
from shardmill.cli import shardmill
from tests.trainers.conftest import make_source
from tests.trainers.shard_executor import Here
from trainers.prediction.batch_job import CsvShard, predict_to_csv_shards, read_predictions
from trainers.prediction.batch_worker import PredictionWorker, count_rows
from trainers.prediction.image_files import find_images
from trainers.runs.run_dir import Run, open_run

if TYPE_CHECKING:
    from trainers.prediction.batch_job import Predictions

PARTS = [f"predictions-0000{number}-of-00003.csv" for number in range(3)]


@pytest.fixture(scope="module")
def run(run_path: Path) -> Run:
    return open_run(run_path)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.prediction.batch_job.CHUNK_FILES", 5)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten shapes and two files that are none, of names that are not all UTF-8."""
    folder: Path = tmp_path_factory.mktemp("collection") / "new"
    (folder / "deeper").mkdir(parents=True)
    for number in range(300, 310):
        name = f"{number}.jpg" if number % 2 else f"deeper/{number}.jpg"
        (folder / name).write_bytes(make_source(number).data)
    (folder / "305-notes.jpg").write_text("no image")
    (folder / "a,b\n\udcff.jpg").write_bytes(b"")
    return folder


def predict(run: Run, new: Path, out: Path, **given: Any) -> Predictions:
    chosen = {"top_k": 2, "on_progress": lambda *_: None, **given}
    return predict_to_csv_shards(
        run, find_images([new]), str(out), Here(), RunnerConfig(), **chosen
    )


def iter_rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def parts(run: Run, new: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished predictions. Not to be written to."""
    out: Path = tmp_path_factory.mktemp("out") / "parts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainers.prediction.batch_job.CHUNK_FILES", 5)
        done = predict(run, new, out)
    assert [part.files for part in done.parts] == [5, 5, 2]
    assert (done.files, done.predicted_files) == (12, 10)
    return out


def test_csv_shards_equal_single_csv_file_of_predict(
    run_path: Path, new: Path, parts: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.csv"
    arguments = ["predict", str(run_path), str(new), "--top-k", "2", "--csv", str(whole)]
    assert CliRunner().invoke(shardmill, arguments).exit_code == 0
    header, *rows = iter_rows(whole)
    found = [iter_rows(parts / name) for name in PARTS]
    assert [part[0] for part in found] == [header] * 3
    assert [row for part in found for row in part[1:]] == rows


def test_csv_shards_of_a_run_that_is_training_are_those_of_the_weights_in_their_key(
    run: Run, new: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, found = Run.read, list[str]()

    def read_once(self: Run, name: str, **options: Any) -> bytes:
        content = read(self, name, **options)
        if self.location == run.location:
            assert name not in found, "another process may have replaced the file"
            found.append(name)
        return content

    with monkeypatch.context() as patch:
        patch.setattr(Run, "read", read_once)
        done = predict(run, new, tmp_path / "out")
    assert done.key == read_predictions(open_storage(str(parts))).key
    assert {"config.json", "model.weights.h5", "class_means.json"} <= {*found}


def test_csv_shards_rows_are_counted_whatever_their_cells_are(tmp_path: Path) -> None:
    rows = [
        ("file", "classes", "reason"),
        ('a"b,\r\n.jpg', '["' + "x" * (1 << 18) + '"]', ""),
        ("'a.jpg", "", "corrupt: not an image,\r\n"),
        ("b.jpg", "", "empty: it has no bytes"),
        ("c.jpg", "[]", ""),
        ("", "", ""),
    ]
    (tmp_path / "a.csv").write_bytes(b"".join(map(encode_csv_row, rows)))
    found = count_rows(open_storage(str(tmp_path)), "a.csv")
    assert found == {"files": 5, "predicted_files": 3}


def test_csv_shards_finished_output_has_only_shards_and_manifest(parts: Path) -> None:
    assert {path.name for path in parts.iterdir()} == {"predictions.json", *PARTS}


def test_csv_shards_second_run_has_nothing_to_do(run: Run, new: Path, parts: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert predict(run, new, parts).predicted_files == 10
    assert {path: path.stat().st_mtime_ns for path in parts.iterdir()} == before


def test_csv_shards_failed_run_resumes_and_reuses_finished_shards(
    run: Run, new: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(worker: PredictionWorker, stream: Any, files: Any, count: Any) -> None:
        write(worker, stream, files, count)
        if len(files) == 2:
            raise StorageError("the network is down")

    with monkeypatch.context() as patch:
        write = PredictionWorker.write_rows
        patch.setattr(PredictionWorker, "write_rows", fail)
        with pytest.raises(StorageError):
            predict(run, new, tmp_path / "out")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.csv")}
    assert {path.name for path in kept} == set(PARTS[:2])
    predict(run, new, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (tmp_path / "out" / PARTS[2]).read_bytes() == (parts / PARTS[2]).read_bytes()


@pytest.mark.parametrize("name", PARTS)
def test_csv_shards_file_of_user_added_after_failure_is_refused_and_kept(
    run: Run, new: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, name: str
) -> None:
    out = tmp_path / "out"

    def fail(*_: Any) -> None:
        raise StorageError("the network is down")

    with monkeypatch.context() as patch:
        patch.setattr("trainers.prediction.batch_job._sum_up", fail)
        if name == PARTS[0]:
            patch.setattr(PredictionWorker, "write_rows", fail)
        with pytest.raises(StorageError):
            predict(run, new, out)
    (out / name).write_text("file,class\nmine,cat\n")
    with pytest.raises(OutputError, match=f"{name}: .*move the file away"):
        predict(run, new, out)
    assert (out / name).read_text() == "file,class\nmine,cat\n"
    (out / name).unlink()
    predict(run, new, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in parts.iterdir()
    }


@pytest.mark.parametrize("change", ["top_k", "files"])
def test_csv_shards_output_of_other_predictions_is_refused(
    run: Run, new: Path, parts: Path, tmp_path: Path, change: str
) -> None:
    other = new / "deeper" if change == "files" else new
    with pytest.raises(OutputError, match="predictions of a different run, for different files or"):
        predict(run, other, parts, top_k=1 if change == "top_k" else 2)


def test_csv_shards_output_url_gives_same_bytes(run: Run, new: Path, parts: Path) -> None:
    location = "memory://collection/parts"
    done = predict_to_csv_shards(
        run,
        find_images([new]),
        location,
        Here(),
        RunnerConfig(),
        top_k=2,
        on_progress=lambda *_: None,
    )
    assert done.parts[0] == CsvShard(
        PARTS[0], files=5, predicted_files=done.parts[0].predicted_files
    )
    storage = open_storage(location)
    assert storage.list() == [*PARTS, "predictions.json"]
    assert storage.read(PARTS[1]) == (parts / PARTS[1]).read_bytes()


def test_predict_command_csv_parts_on_beam_gives_same_bytes(
    run_path: Path, new: Path, parts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["predict", run_path, new, "--top-k", 2, "--csv-parts", out, "--runner", "local"]
    flags = ["--", "--direct_num_workers=1"]
    result = CliRunner().invoke(shardmill, [*map(str, arguments), *flags])
    assert result.exit_code == 0, result
    assert result.stdout == f"{out}: 12 files in 3 parts\n"
    assert result.stderr == "2 of 12 files without a prediction\n"
    printed = json.loads(CliRunner().invoke(shardmill, [*map(str, arguments), "--json"]).stdout)
    assert (printed["output"], printed["files"], printed["predicted_files"]) == (str(out), 12, 10)
    for path in parts.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_predict_command_csv_parts_without_valid_image_fails(
    run_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.jpg").write_text("no image")
    arguments = ["predict", run_path, tmp_path / "notes.jpg", "--csv-parts", tmp_path / "out"]
    result = CliRunner().invoke(shardmill, list(map(str, arguments)))
    assert isinstance(result.exception, InputNotFoundError)


@pytest.mark.parametrize(
    "flags",
    [
        ("--csv-parts=out", "--csv=x.csv"),
        ("--csv-parts=out", "--grid=x.png"),
        ("--csv-parts=out", "--runner=NoSuchRunner"),
        ("--runner=local",),
    ],
)
def test_predict_command_conflicting_options_are_refused(
    run_path: Path, new: Path, flags: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(shardmill, ["predict", str(run_path), str(new), *flags])
    assert isinstance(result.exception, UsageError)
