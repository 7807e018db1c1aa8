"""A file is predicted as its record would be, and a file that is no image is a line."""

from __future__ import annotations

import csv
import io
import shutil
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from PIL import Image

from records.dataset import open_dataset
from records.errors import NoInputError
from tests.trainers.conftest import LABELS, draw_shape, encode, make_source
from trainers.predict import Prediction, Refusal, find_images, predict
from trainers.predictions import describe_result, encode_csv, encode_json
from trainers.run_folder import Run, open_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def run(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The trained run, moved away from where it was made, its dataset unreachable."""
    folder = tmp_path_factory.mktemp("moved") / "run"
    shutil.copytree(run_path, folder)
    run = open_run(folder)
    return Run(folder, msgspec.structs.replace(run.config, dataset="/nowhere"), run.labels)


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


def test_a_file_is_scored_exactly_as_its_record(run: Run, shapes: Path, tmp_path: Path) -> None:
    from trainers.input import ShardSource, read_in_order
    from trainers.metrics import softmax
    from trainers.selection import select_split
    from trainers.weights import load_model

    dataset = open_dataset(shapes)
    paths = []
    for number in range(150, 180):
        paths.append(tmp_path / f"{number}")
        paths[-1].write_bytes(make_source(number).data)
    predictions = list(predict(run, paths, top_k=3))

    source = ShardSource.of(dataset, run.config.shape)
    model, batch_size = load_model(run), run.config.options.batch_size
    batches = read_in_order(source, select_split(dataset, "test"), batch_size)
    images = np.concatenate([images for images, _ in batches.as_numpy_iterator()])
    scores = softmax(model.predict(images, batch_size=batch_size, verbose=0))
    pixels = {image.tobytes(): row for image, row in zip(images, scores, strict=True)}
    for prediction in predictions:
        assert isinstance(prediction, Prediction)
        row = pixels[prediction.pixels.tobytes()]
        for label, score in prediction.scores:
            assert score == pytest.approx(row[label], rel=1e-4, abs=1e-7)


def test_new_shapes_are_recognised(run: Run, files: list[Path]) -> None:
    predictions = list(predict(run, files, top_k=2))
    right = [
        isinstance(prediction, Prediction)
        and prediction.scores[0][0] == int(prediction.path.name[0])
        for prediction in predictions
    ]
    assert sum(right) >= 9
    assert all(len(p.scores) == 2 for p in predictions if isinstance(p, Prediction))


def test_the_form_of_a_file_does_not_matter(run: Run, tmp_path: Path) -> None:
    image = draw_shape(301)
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    (tmp_path / "plain.png").write_bytes(encode(image, "PNG"))
    (tmp_path / "wrong-name.jpg").write_bytes(encode(image, "BMP"))
    turned.save(tmp_path / "turned.png", exif=exif)
    image.convert("RGBA").save(tmp_path / "alpha.webp", lossless=True)
    results = list(predict(run, sorted(tmp_path.iterdir()), top_k=3))
    assert len(results) == 4
    first = results[0]
    assert isinstance(first, Prediction)
    for result in results:
        assert isinstance(result, Prediction)
        np.testing.assert_array_equal(result.pixels, first.pixels)
        np.testing.assert_allclose(result.scores, first.scores, rtol=1e-4)


def test_bad_files_are_refused_with_reasons_in_their_place(run: Run, files: list[Path]) -> None:
    bad = {"empty": b"", "text": b"no image", "half.jpg": files[0].read_bytes()[:300]}
    for name, content in bad.items():
        (files[0].parent / name).write_bytes(content)
    missing = files[0].parent / "missing.jpg"
    paths = [files[0], *(files[0].parent / name for name in bad), missing, files[1]]
    results = list(predict(run, paths, top_k=1))
    assert [result.path for result in results] == paths
    reasons = [
        result.rejection.reason if isinstance(result, Refusal) else None for result in results
    ]
    assert reasons == [None, "empty", "corrupt", "truncated", "unreadable", None]


def test_only_bad_files_need_no_model_step(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad").touch()
    (result,) = predict(run, [tmp_path / "bad"], top_k=1)
    assert isinstance(result, Refusal)


def test_more_classes_than_there_are_is_all_of_them(run: Run, files: list[Path]) -> None:
    (result,) = predict(run, files[:1], top_k=99)
    assert isinstance(result, Prediction)
    assert sorted(label for label, _ in result.scores) == [0, 1, 2]
    assert sum(score for _, score in result.scores) == pytest.approx(1)


def test_folders_are_searched_for_images(files: list[Path]) -> None:
    folder = files[0].parent
    (folder / "deep").mkdir()
    shutil.copy(files[0], folder / "deep" / "no-extension")
    (folder / ".hidden.jpg").touch()
    (folder / ".hidden").mkdir()
    shutil.copy(files[0], folder / ".hidden" / "a.jpg")
    (folder / "notes.txt").write_text("no image")
    assert find_images([folder]) == sorted([*files, folder / "deep" / "no-extension"])
    assert find_images([files[3], folder / "notes.txt"]) == [files[3], folder / "notes.txt"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInputError, match="no such file or folder"):
        find_images([tmp_path / "missing"])
    with pytest.raises(NoInputError, match="no image in this folder"):
        find_images([tmp_path / "empty"])


def test_results_for_people_and_programs(run: Run, files: list[Path]) -> None:
    (files[0].parent / "bad\x1b.jpg").touch()
    paths = [files[0], files[0].parent / "bad\x1b.jpg"]
    results = [describe_result(result, LABELS) for result in predict(run, paths, top_k=2)]
    assert str(results[0]).startswith(f"{files[0]}  {results[0].classes[0].name} ")
    assert r"bad\x1b.jpg: not an image to classify, empty: " in str(results[1])
    rows = list(csv.DictReader(io.StringIO(encode_csv(results).decode())))
    assert [row["rank"] for row in rows] == ["1", "2", ""]
    assert rows[2]["reason"].startswith("empty: ")
    objects = msgspec.json.decode(encode_json(results))
    assert set(objects[0]) == {"file", "classes"}
    assert set(objects[0]["classes"][0]) == {"class", "label", "score"}
    assert set(objects[1]) == {"file", "reason", "detail"}
