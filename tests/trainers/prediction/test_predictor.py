"""A file is predicted as its record would be, and a file that is no image is a line."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from records.errors import ShardmillError, StorageError, UsageError
from records.images import ImageOptions
from tests.trainers.conftest import LABELS, draw_shape, encode, make_source, write_shapes
from trainers.evaluation.evaluate import plan_evaluation
from trainers.prediction import Predictor
from trainers.prediction.image_files import find_images
from trainers.prediction.output import csv_columns, csv_row, encode_json, to_file_result
from trainers.runs.run_dir import Run, open_run
from trainers.tasks.classification import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainers.prediction import FilePrediction, Prediction


@pytest.fixture(scope="module")
def predictor(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Of the trained run, moved away from where it was made, its dataset unreachable."""
    folder = tmp_path_factory.mktemp("moved") / "run"
    shutil.copytree(run_path, folder)
    run = open_run(folder)
    return Predictor(
        Run(run.folder, msgspec.structs.replace(run.config, dataset="/nowhere"), run.labels)
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
    run = Run(predictor.run.folder, config, predictor.run.labels)
    expected: dict[bytes, NDArray[np.floating[Any]]] = {}
    for logits, _, keys in score_batches(plan_evaluation(run, tmp_path / "data"), load_model(run)):
        expected.update(zip(keys, softmax(logits), strict=True))
    sources = [make_source(number) for number in range(150, 170)]
    results = Predictor(run).predict([source.data for source in sources], top_k=3)
    assert len(expected) == len(results) == 20
    for source, result in zip(sources, results, strict=True):
        assert result.rejection is None
        found = [best.score for best in sorted(result.top, key=lambda best: best.label)]
        np.testing.assert_allclose(found, expected[source.key], rtol=0, atol=1e-6)


def test_predict_unseen_images_are_mostly_classified_correctly(
    predictor: Predictor, files: list[Path]
) -> None:
    answers = predict(predictor, files, top_k=2)
    assert [answer.path for answer in answers] == list(map(str, files))
    right = [a.label == int(path.name[0]) for a, path in zip(answers, files, strict=True)]
    assert sum(right) >= 9
    assert all(len(answer.top) == 2 for answer in answers)


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
    results = predict(predictor, [tmp_path], top_k=3)
    results += predictor.predict([np.asarray(image)], top_k=3)  # type: ignore[arg-type]
    assert len(results) == 5
    first = results[0]
    for result in results:
        assert result.pixels is not None
        np.testing.assert_array_equal(result.pixels, first.pixels)
        assert [best.name for best in result.top] == [best.name for best in first.top]
        scores, firsts = ([best.score for best in each.top] for each in (result, first))
        np.testing.assert_allclose(scores, firsts, rtol=1e-4)


def test_predict_ten_invalid_files_of_hundred_are_rejected_in_order(
    predictor: Predictor, files: list[Path]
) -> None:
    folder = files[0].parent
    for number in range(88):
        shutil.copy(files[number % 12], folder / f"{number % 3}-{number:03}-more.jpg")
    for number, path in enumerate(sorted(folder.iterdir())[::10]):
        path.write_bytes((b"", b"no image", path.read_bytes()[:300])[number % 3])
    answers = predict(predictor, [folder])
    assert [answer.path for answer in answers] == sorted(map(str, folder.iterdir()))
    reasons = [answer.rejection.reason for answer in answers if answer.rejection is not None]
    assert reasons == ["empty", "corrupt", "truncated"] * 3 + ["empty"]
    for answer in answers[1:10]:
        path = next(path for path in folder.iterdir() if str(path) == answer.path)
        (alone,) = predictor.predict([path.read_bytes()])
        assert answer.pixels is not None
        assert alone.pixels is not None
        np.testing.assert_array_equal(answer.pixels, alone.pixels)


def test_predict_unreadable_files_are_rejected_in_order(
    predictor: Predictor, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_images(files[:4])
    files[1].unlink()

    def fail(*_arguments: object) -> bytes:
        raise StorageError("cannot be read", got="Input/output error")

    monkeypatch.setattr(found[2].storage, "read_range", fail)
    rejections = [answer.rejection for answer in predictor.predict_files(found)]
    assert [rejection is not None for rejection in rejections] == [False, True, True, False]
    details = [rejection.detail for rejection in rejections if rejection is not None]
    assert details == ["No such file or directory", "Input/output error"]


def test_predict_missing_path_raises_error(predictor: Predictor, files: list[Path]) -> None:
    answers = predictor.predict_files(find_images(files))
    next(answers)
    answers.close()
    with pytest.raises(ShardmillError, match="found neither a file"):
        find_images([*files, files[0].parent / "missing"])


def test_predict_image_refused_by_training_decoder_is_rejected_as_corrupt(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from records.images import NormalizedImage

    half = make_source(300).data[:300]
    stored = NormalizedImage(half, "jpeg", 30, 30, 3, ())
    monkeypatch.setattr("trainers.prediction.predictor.normalize_image", lambda *_: stored)
    (result,) = predictor.predict([half])
    assert result.rejection is not None
    assert result.rejection.reason == "corrupt"


def test_predict_only_invalid_images_gives_only_rejections(predictor: Predictor) -> None:
    results = predictor.predict([b""] * 30)
    assert len(results) == 30
    assert all(result.rejection is not None and result.top == () for result in results)


def test_predict_top_k_above_class_count_gives_all_classes(
    predictor: Predictor, files: list[Path]
) -> None:
    (answer,) = predict(predictor, files[:1], top_k=99)
    assert sorted(best.label for best in answer.top) == [0, 1, 2]
    assert sum(best.score for best in answer.top) == pytest.approx(1)


def test_file_result_is_formatted_as_text_csv_and_json(
    predictor: Predictor, files: list[Path]
) -> None:
    bad = files[0].parent / "bad\x1b.jpg"
    bad.touch()
    answers = predict(predictor, [files[0], bad], top_k=2)
    results = [to_file_result(answer) for answer in answers]
    assert str(results[0]).startswith(f"{files[0]}  {results[0].classes[0].name} ")
    assert r"bad\x1b.jpg: no prediction, empty: " in str(results[1])
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


def test_predict_files_takes_iterables_of_paths_as_they_are(
    run_path: Path, files: list[Path], tmp_path: Path
) -> None:
    for run in (run_path, str(run_path), open_run(run_path)):
        predictor = Predictor(run)
    missing = tmp_path / "missing.jpg"
    given: list[str | Path] = [*files[:2], str(files[2]), missing, tmp_path]
    answers = list(predictor.predict_files(path for path in given))
    assert [answer.path for answer in answers] == given
    first = answers[0]
    assert first.class_name == LABELS[first.label or 0] == first.top[0].name
    assert first.score == first.top[0].score
    assert repr(first) == f"<FilePrediction {files[0]}: {first.class_name} {first.score:.1%}>"
    assert (answers[3].class_name, answers[3].score) == (None, None)
    assert repr(answers[3]).endswith("rejected, unreadable: No such file or directory>")
    assert answers[4].rejection is not None
    assert list(predictor.predict_files([])) == []


def test_predict_files_pipe_is_rejected_without_waiting(
    predictor: Predictor, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (answer,) = predictor.predict_files([tmp_path / "pipe.jpg"])
    assert answer.rejection is not None
    assert answer.rejection.detail == "not a regular file but a named pipe"


@pytest.mark.parametrize(
    ("images", "kind"),
    [
        (["a.jpg"], TypeError),
        ("a.jpg", TypeError),
        (7, TypeError),
        ([None], TypeError),
        (np.zeros((4, 4, 3), np.float32), UsageError),
        (np.zeros((4, 4, 2), np.uint8), UsageError),
        (np.zeros((0, 4, 3), np.uint8), UsageError),
    ],
)
def test_predict_invalid_input_is_refused_and_later_calls_work(
    predictor: Predictor, files: list[Path], images: Any, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        predictor.predict(images)
    (answer,) = predictor.predict(files[0].read_bytes())
    assert answer.rejection is None


def test_predict_files_invalid_input_is_refused_and_later_calls_work(
    predictor: Predictor, files: list[Path]
) -> None:
    cases: list[tuple[Any, type[Exception]]] = [
        (files[0], UsageError),
        (str(files[0]), UsageError),
        (7, TypeError),
        ([files[0], 7], UsageError),
        ([b"a.jpg"], UsageError),
        (["a\0.jpg"], UsageError),
        (["folder/"], UsageError),
    ]
    for paths, kind in cases:
        with pytest.raises(kind):
            predictor.predict_files(paths)
    with pytest.raises(UsageError, match="invalid top_k"):
        predictor.predict_files(files, top_k=0)
    late: Any = iter([files[0], 7])
    later = predictor.predict_files(late)
    with pytest.raises(UsageError, match="argument paths"):
        list(later)
    assert len(list(predictor.predict_files(files))) == len(files)


def test_predict_arrays_of_several_kinds_are_classified(predictor: Predictor) -> None:
    grey = np.asarray(draw_shape(301).convert("L"))
    batch = np.stack([np.asarray(draw_shape(301))] * 2)
    assert len(predictor.predict(batch)) == 2
    assert len(predictor.predict(batch[0])) == 1
    first, second = predictor.predict([grey, grey[..., None]])
    assert first == second


def test_predictor_threads_give_same_predictions(run_path: Path, files: list[Path]) -> None:
    images = [path.read_bytes() for path in files]
    expected = Predictor(run_path).predict(images, top_k=3)
    predictor = Predictor(run_path)  # its first calls, which build the model's function, meet

    def classify(number: int) -> list[Prediction]:
        if number % 2:
            return predictor.predict(images, top_k=3)
        return list(predictor.predict_files(files, top_k=3))

    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(classify, range(12)):
            for one, other in zip(found, expected, strict=True):
                assert [best.label for best in one.top] == [best.label for best in other.top]
                assert one.score == pytest.approx(other.score)
