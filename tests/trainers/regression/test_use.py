"""A run that predicts a number is evaluated, predicts and is exported."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from records.dataset import open_dataset
from records.errors import UsageError
from records.runtime.shard_worker import RunnerConfig
from shardmill.cli import shardmill
from tests.trainers.drawn import DISCS, FILES, draw_disc, known
from tests.trainers.shard_executor import Here
from trainers.evaluation import RegressionEvaluation, evaluate
from trainers.evaluation.evaluate import plan_evaluation
from trainers.evaluation.pictures import draw_pictures
from trainers.export import export
from trainers.options import Augmentation
from trainers.plots.augment_preview import draw_variants, make_variants, preview_augmentation
from trainers.prediction import FilePrediction, Prediction, Predictor, find_images
from trainers.prediction.batch_job import predict_to_csv_shards
from trainers.runs.run_dir import open_run
from trainers.training.planning import plan_training


@pytest.fixture(scope="module")
def predictions(drawn_run: Path, new: Path) -> list[Prediction]:
    return Predictor(drawn_run).predict([(new / f"{number}.png").read_bytes() for number in FILES])


@pytest.fixture(scope="module")
def measured(drawn_data: Path, drawn_run: Path) -> dict[str, tuple[float, float]]:
    """The true and the predicted value of each image of the test split, by key."""
    records = open_dataset(drawn_data)["test"]
    areas = known(records)
    images = {record.key: record.image for record in records if record.key in areas}
    found = Predictor(drawn_run).predict(list(images.values()))
    values = [prediction.value for prediction in found]
    assert all(value is not None for value in values)
    return {key: (areas[key], value) for key, value in zip(images, values, strict=True)}  # type: ignore[misc]


def measure(run: Path, **options: Any) -> RegressionEvaluation:
    found = evaluate(run, **options)
    assert isinstance(found, RegressionEvaluation)
    return found


def test_evaluate_csv_has_true_and_predicted_values(
    drawn_run: Path, measured: dict[str, tuple[float, float]], tmp_path: Path
) -> None:
    measure(drawn_run, csv=tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["key"]: (row["value"], row["predicted"]) for row in csv.DictReader(file)}
    assert rows.keys() == measured.keys()
    for key, values in rows.items():
        assert [float(text) for text in values] == pytest.approx(measured[key], rel=1e-4)


def test_evaluate_has_metrics_of_predictions(
    drawn_run: Path, measured: dict[str, tuple[float, float]]
) -> None:
    found = measure(drawn_run, mistakes=5)
    true, predicted = np.array(list(measured.values())).T
    errors = predicted - true
    assert found.images == len(true) < 60
    assert found.mean_squared_error == pytest.approx((errors**2).mean(), rel=1e-5)
    assert found.root_mean_squared_error == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-5)
    assert found.mean_absolute_error == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert found.r2 == pytest.approx(1 - (errors**2).sum() / ((true - true.mean()) ** 2).sum())
    assert found.r2 is not None
    assert found.r2 > 0.7
    np.testing.assert_allclose(sorted(found.points), sorted(measured.values()), rtol=1e-5)
    worst = sorted(measured, key=lambda key: -abs(measured[key][1] - measured[key][0]))[:5]
    assert [mistake.key for mistake in found.mistakes] == worst
    for mistake in found.mistakes:
        value, expected = measured[mistake.key]
        assert mistake.value == value
        assert mistake.predicted == pytest.approx(expected, rel=1e-5)
        assert mistake.error == pytest.approx(abs(expected - value), rel=1e-3)


def test_evaluate_validation_equals_metrics_of_training(drawn_run: Path) -> None:
    found = measure(drawn_run, split="validation")
    result = json.loads((drawn_run / "result.json").read_bytes())
    assert found.images == result["validation_images"]
    assert found.loss == pytest.approx(result["val_loss"], rel=1e-3)
    assert found.r2 == pytest.approx(result["metrics"]["val_r2"], abs=1e-3)
    expected = result["metrics"]["val_mean_absolute_error"]
    assert found.mean_absolute_error == pytest.approx(expected, rel=1e-3)


def test_evaluate_command_prints_metrics_and_draws_scatter_plot(
    run: Path, drawn_data: Path
) -> None:
    ended = CliRunner().invoke(
        shardmill, ["evaluate", str(run), str(drawn_data), "--mistakes", "3"]
    )
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith("test: R² 0.")
    assert "root mean squared error" in ended.stdout
    assert "images without a value of area" in ended.stderr
    pictures = sorted(path.name for path in run.glob("*-test.png"))
    assert pictures == ["mistakes-test.png", "scatter-test.png"]
    for name in pictures:
        with Image.open(run / name) as picture:
            assert min(picture.size) > 200


def test_evaluate_command_json_has_task_and_target(run: Path) -> None:
    ended = CliRunner().invoke(shardmill, ["evaluate", str(run), "--mistakes", "1", "--json"])
    found = json.loads(ended.stdout)
    assert (found["task"], found["target"], found["split"]) == ("regression", "area", "test")
    assert len(found["points"]) == found["images"]
    assert "confusion" not in found


def test_evaluate_dataset_without_the_target_is_an_error(drawn_run: Path, shapes: Path) -> None:
    with pytest.raises(UsageError, match="keeps no column of this name"):
        evaluate(drawn_run, shapes)


def test_evaluate_class_run_on_dataset_with_target_is_an_error(
    run_path: Path, drawn_data: Path
) -> None:
    with pytest.raises(UsageError, match="different numbers of classes"):
        evaluate(run_path, drawn_data)


@pytest.mark.slow
def test_evaluate_another_dataset_leaves_out_images_of_training(
    run: Path, drawn_data: Path, tmp_path: Path
) -> None:
    data = DISCS.make_dataset(tmp_path / "other", 40, first=280, test=39, shards=1)
    plan = plan_evaluation(open_run(run), data)
    assert plan.excluded_images + plan.selection.records < 39
    found = measure(run, dataset=data)
    assert found.images == plan.selection.records
    assert list(draw_pictures(plan, found))


def test_predict_value_is_near_the_true_value(predictions: list[Prediction]) -> None:
    areas = [draw_disc(number)[1] for number in FILES]
    errors = [abs((p.value or 0) - area) for p, area in zip(predictions, areas, strict=True)]
    assert np.mean(errors) < 100  # areas are 1013 to 1616
    for prediction in predictions:
        assert (prediction.top, prediction.chosen, prediction.label) == ((), None, None)
        assert f"{prediction.value:.6g}" in repr(prediction)


def test_predictor_of_target_names_it_and_has_no_classes(drawn_run: Path, new: Path) -> None:
    predictor = Predictor(drawn_run)
    assert (predictor.target, predictor.class_names, predictor.thresholds) == ("area", (), ())
    assert "target area" in repr(predictor)
    with pytest.raises(UsageError, match="predicts a number, area, and has no classes"):
        predictor.predict((new / f"{FILES[0]}.png").read_bytes(), top_k=2)


def test_predict_csv_json_and_text_have_the_value(
    run: Path, new: Path, predictions: list[Prediction], tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    arguments = ["predict", str(run), str(new), "--csv", str(out)]
    ended = CliRunner().invoke(
        shardmill, [*arguments, "--json", "--grid", str(tmp_path / "grid.png")]
    )
    assert ended.exit_code == 0, ended.output
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "value", "reason"]
    values = [prediction.value for prediction in predictions]
    found = json.loads(ended.stdout)
    assert [float(row["value"]) for row in rows if row["value"]] == pytest.approx(values, rel=1e-6)
    assert [each["value"] for each in found if "value" in each] == pytest.approx(values, rel=1e-6)
    assert [(row["value"], row["reason"] != "") for row in rows][-1] == ("", True)
    assert found[-1]["reason"]
    with Image.open(tmp_path / "grid.png") as picture:
        assert min(picture.size) > 100
    text = CliRunner().invoke(shardmill, ["predict", str(run), str(new / f"{FILES[0]}.png")])
    assert text.stdout == f"{new / f'{FILES[0]}.png'}  {values[0]:.6g}\n"


@pytest.mark.parametrize("more", [[], ["--csv-parts", "OUT"]])
def test_predict_top_k_of_a_target_is_an_error(
    run: Path, new: Path, tmp_path: Path, more: list[str]
) -> None:
    arguments = [str(tmp_path / "out") if it == "OUT" else it for it in more]
    ended = CliRunner().invoke(
        shardmill, ["predict", str(run), str(new), "--top-k", "2", *arguments], obj=Here()
    )
    assert isinstance(ended.exception, UsageError)
    assert ended.exception.hint == "omit --top-k"
    assert not (tmp_path / "out").exists()


def test_predict_csv_parts_equal_single_csv_file(run: Path, new: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    CliRunner().invoke(shardmill, ["predict", str(run), str(new), "--csv", str(whole)])
    found = predict_to_csv_shards(
        open_run(run),
        find_images([new]),
        str(tmp_path / "parts"),
        Here(),
        RunnerConfig(),
        top_k=1,
        on_progress=lambda *_: None,
    )
    assert (found.files, found.predicted_files) == (len(FILES) + 1, len(FILES))
    (part,) = (tmp_path / "parts").glob("*.csv")
    assert part.read_bytes() == whole.read_bytes()


def test_predict_files_keeps_path_and_rejection(drawn_run: Path, new: Path) -> None:
    *found, rejected = Predictor(drawn_run).predict_files(find_images([new]))
    assert all(isinstance(each, FilePrediction) and each.value is not None for each in found)
    assert rejected.value is None
    assert rejected.rejection is not None


def test_predict_file_without_prediction_is_reported_without_words_of_classes(
    run: Path, new: Path, tmp_path: Path
) -> None:
    def predict(*arguments: object) -> Result:
        return CliRunner().invoke(shardmill, ["predict", str(run), *map(str, arguments)])

    some = predict(new)
    result, note = some.stderr.splitlines()[-2:]
    assert result.startswith(f"{new / 'notes.png'}: no prediction, corrupt: ")
    assert note == f"1 of {len(FILES) + 1} files without a prediction"
    none = predict(new / "notes.png")
    assert str(none.exception) == "no prediction for any file, got 1 file"
    parts = predict(new, "--csv-parts", tmp_path / "parts", "--json")
    assert json.loads(parts.stdout)["predicted_files"] == len(FILES)
    outputs = (some.output, none.output, parts.output)
    assert not any("class" in text.replace(str(tmp_path), "") for text in outputs)


def test_preview_augmentation_shows_value_of_first_training_record(
    drawn_data: Path, tmp_path: Path
) -> None:
    options = msgspec.structs.replace(DISCS.options, augment=Augmentation(flip="horizontal"))
    plan = plan_training(drawn_data, tmp_path / "run", options)
    content = preview_augmentation(plan.dataset, plan.training, plan.config)
    assert plan.training.mask is not None
    record = plan.dataset["train"][int(np.concatenate(plan.training.mask).argmax())]
    title = f"area {record.columns['area']:.6g}, flip=horizontal"
    assert content == draw_variants(make_variants(record, plan.config), title)


def values_of(predictions: list[Prediction]) -> list[float]:
    return [prediction.value or 0.0 for prediction in predictions]


def pixels_of(predictions: list[Prediction]) -> np.ndarray:
    return np.stack([each.pixels for each in predictions])  # type: ignore[misc]


def test_export_saved_model_gives_values_of_predict(
    drawn_run: Path, new: Path, predictions: list[Prediction], tmp_path: Path
) -> None:
    import tensorflow as tf

    folder = Path(export(drawn_run, tmp_path / "saved", "saved_model"))
    assert (folder / "labels.txt").read_text() == "0:area\n"
    assert not (folder / "thresholds.json").exists()
    model = tf.saved_model.load(str(folder))
    files = tf.constant([(new / f"{number}.png").read_bytes() for number in FILES])
    pixels = tf.constant(pixels_of(predictions))
    for signature, images in (("serving_default", files), ("pixels", pixels)):
        found = model.signatures[signature](image=images)
        assert list(found) == ["value"]
        np.testing.assert_allclose(found["value"], values_of(predictions), rtol=1e-5)


def test_export_keras_gives_values_of_predict(
    drawn_run: Path, predictions: list[Prediction], tmp_path: Path
) -> None:
    import keras

    folder = Path(export(drawn_run, tmp_path / "keras"))
    model = keras.models.load_model(folder / "model.keras", safe_mode=True)
    found = model.predict(pixels_of(predictions), verbose=0)
    assert found.shape == (len(FILES), 1)
    np.testing.assert_allclose(found[:, 0], values_of(predictions), rtol=1e-5)


def test_export_onnx_gives_values_of_predict(
    drawn_run: Path, predictions: list[Prediction], tmp_path: Path
) -> None:
    pytest.importorskip("tf2onnx", reason="needs shardmill[onnx]: no tf2onnx")
    from onnx.reference import ReferenceEvaluator

    folder = Path(export(drawn_run, tmp_path / "onnx", "onnx"))
    model = ReferenceEvaluator(str(folder / "model.onnx"))
    (found,) = model.run(None, {"image": pixels_of(predictions)})
    np.testing.assert_allclose(found[:, 0], values_of(predictions), rtol=1e-5)
