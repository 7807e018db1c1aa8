"""A file is predicted as its record would be, and a file that is no image is a line."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from PIL import Image

from records.errors import ShardmillError, StorageError
from records.images import ImageOptions, Rejection
from tests.trainers.conftest import LABELS, draw_shape, encode, make_source, write_shapes
from trainers.evaluation.evaluate import plan_evaluation
from trainers.evaluation.metrics import softmax
from trainers.prediction.find_images import find_images
from trainers.prediction.output import csv_columns, csv_row, encode_json, to_file_result
from trainers.prediction.predictor import Prediction, Predictor
from trainers.runs.run_dir import Run, open_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainers.prediction.predictor import FilePrediction


@pytest.fixture(scope="module")
def predictor(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Of the trained run, moved away from where it was made, its dataset unreachable."""
    folder = tmp_path_factory.mktemp("moved") / "run"
    shutil.copytree(run_path, folder)
    run = open_run(folder)
    return Predictor(
        Run(folder, msgspec.structs.replace(run.config, dataset="/nowhere"), run.labels)
    )


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twelve shapes that were not trained on, as files, the class in their names."""
    paths = []
    for number in range(300, 312):
        path = tmp_path / "new" / f"{number % 3}-{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_source(number).data)
        paths.append(path)
    return paths


def predict(predictor: Predictor, paths: Sequence[Path], top_k: int = 1) -> list[FilePrediction]:
    return list(predictor.predict_files(find_images(paths), top_k=top_k))


@pytest.mark.parametrize(
    "images",
    [
        ImageOptions(),
        ImageOptions(resize=(41, 30)),
        ImageOptions(resize=(32, 24), store="raw"),
        ImageOptions(check="header", store="png"),
    ],
)
def test_predict_file_equals_scores_of_evaluate(
    predictor: Predictor, tmp_path: Path, images: ImageOptions
) -> None:
    from trainers.evaluation.evaluate import score_batches
    from trainers.models.load import load_model

    write_shapes(tmp_path / "data", {"test": [range(150, 163), range(163, 170)]}, images)
    config = msgspec.structs.replace(predictor.run.config, images=images)
    run = Run(predictor.run.path, config, predictor.run.labels)
    expected = {}
    for logits, _, keys in score_batches(plan_evaluation(run, tmp_path / "data"), load_model(run)):
        expected.update(zip(keys, softmax(logits), strict=True))
    sources = [make_source(number) for number in range(150, 170)]
    results = Predictor(run).classify([source.data for source in sources], top_k=3)
    assert len(expected) == len(results) == 20
    for source, result in zip(sources, results, strict=True):
        assert isinstance(result, Prediction)
        found = [score for _, score in sorted(result.scores)]
        np.testing.assert_allclose(found, expected[source.key], rtol=0, atol=1e-6)


def test_predict_unseen_images_are_mostly_classified_correctly(
    predictor: Predictor, files: list[Path]
) -> None:
    answers = predict(predictor, files, top_k=2)
    assert [answer.file for answer in answers] == list(map(str, files))
    best = [a.result.scores[0][0] for a in answers if isinstance(a.result, Prediction)]
    right = [label == int(path.name[0]) for label, path in zip(best, files, strict=True)]
    assert sum(right) >= 9
    assert all(len(a.result.scores) == 2 for a in answers if isinstance(a.result, Prediction))


def test_predict_format_orientation_and_alpha_do_not_change_scores(
    predictor: Predictor, tmp_path: Path
) -> None:
    image = draw_shape(301)
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    (tmp_path / "plain.png").write_bytes(encode(image, "PNG"))
    (tmp_path / "wrong-name.jpg").write_bytes(encode(image, "BMP"))
    turned.save(tmp_path / "turned.png", exif=exif)
    image.convert("RGBA").save(tmp_path / "alpha.webp", lossless=True)
    results = [answer.result for answer in predict(predictor, [tmp_path], top_k=3)]
    assert len(results) == 4
    first = results[0]
    assert isinstance(first, Prediction)
    for result in results:
        assert isinstance(result, Prediction)
        np.testing.assert_array_equal(result.pixels, first.pixels)
        np.testing.assert_allclose(result.scores, first.scores, rtol=1e-4)


def test_predict_ten_invalid_files_of_hundred_are_rejected_in_order(
    predictor: Predictor, files: list[Path]
) -> None:
    folder = files[0].parent
    for number in range(88):
        shutil.copy(files[number % 12], folder / f"{number % 3}-{number:03}-more.jpg")
    for number, path in enumerate(sorted(folder.iterdir())[::10]):
        path.write_bytes((b"", b"no image", path.read_bytes()[:300])[number % 3])
    answers = predict(predictor, [folder])
    assert [answer.file for answer in answers] == sorted(map(str, folder.iterdir()))
    reasons = [a.result.reason for a in answers if isinstance(a.result, Rejection)]
    assert reasons == ["empty", "corrupt", "truncated"] * 3 + ["empty"]
    for answer in answers[1:10]:
        path = next(path for path in folder.iterdir() if str(path) == answer.file)
        (alone,) = predictor.classify([path.read_bytes()])
        assert isinstance(answer.result, Prediction)
        assert isinstance(alone, Prediction)
        np.testing.assert_array_equal(answer.result.pixels, alone.pixels)


def test_predict_unreadable_files_are_rejected_in_order(
    predictor: Predictor, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_images(files[:4])
    files[1].unlink()

    def fail(_name: str) -> bytes:
        raise StorageError("cannot be read", got="Input/output error")

    monkeypatch.setattr(found[2].storage, "read", fail)
    results = [answer.result for answer in predictor.predict_files(found)]
    assert [isinstance(result, Rejection) for result in results] == [False, True, True, False]
    details = [result.detail for result in results if isinstance(result, Rejection)]
    assert details == ["No such file or directory", "Input/output error"]


def test_predict_missing_path_raises_error(predictor: Predictor, files: list[Path]) -> None:
    answers = predictor.predict_files(find_images(files))
    next(answers)
    answers.close()
    with pytest.raises(ShardmillError, match="no such file"):
        find_images([*files, files[0].parent / "missing"])


def test_predict_image_refused_by_training_decoder_is_rejected_as_corrupt(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from records.images import NormalizedImage

    half = make_source(300).data[:300]
    stored = NormalizedImage(half, "jpeg", 30, 30, 3, ())
    monkeypatch.setattr("trainers.prediction.predictor.normalize_image", lambda *_: stored)
    (result,) = predictor.classify([half])
    assert isinstance(result, Rejection)
    assert result.reason == "corrupt"


def test_predict_only_invalid_images_gives_only_rejections(predictor: Predictor) -> None:
    results = predictor.classify([b""] * 30)
    assert {type(result) for result in results} == {Rejection}


def test_predict_top_k_above_class_count_gives_all_classes(
    predictor: Predictor, files: list[Path]
) -> None:
    (answer,) = predict(predictor, files[:1], top_k=99)
    assert isinstance(answer.result, Prediction)
    assert sorted(label for label, _ in answer.result.scores) == [0, 1, 2]
    assert sum(score for _, score in answer.result.scores) == pytest.approx(1)


def test_file_result_is_formatted_as_text_csv_and_json(
    predictor: Predictor, files: list[Path]
) -> None:
    bad = files[0].parent / "bad\x1b.jpg"
    bad.touch()
    answers = predict(predictor, [files[0], bad], top_k=2)
    results = [to_file_result(answer, LABELS) for answer in answers]
    assert str(results[0]).startswith(f"{files[0]}  {results[0].classes[0].name} ")
    assert r"bad\x1b.jpg: not an image to classify, empty: " in str(results[1])
    assert csv_columns(1) == ("file", "class", "label", "score", "reason")
    columns = csv_columns(2)
    assert columns[:7] == ("file", "class", "label", "score", "class_2", "label_2", "score_2")
    row, bad_row = (dict(zip(columns, csv_row(r, 2), strict=True)) for r in results)
    second = results[0].classes[1]
    assert (row["class_2"], row["label_2"], row["reason"]) == (second.name, second.label, "")
    assert row["score_2"] == f"{second.score:.6f}"
    assert (bad_row["file"], bad_row["class"], bad_row["score_2"]) == (str(bad), "", "")
    assert str(bad_row["reason"]).startswith("empty: ")
    objects = [msgspec.json.decode(encode_json(result)) for result in results]
    assert set(objects[0]) == {"file", "classes"}
    assert set(objects[0]["classes"][0]) == {"class", "label", "score"}
    assert set(objects[1]) == {"file", "reason", "detail"}
