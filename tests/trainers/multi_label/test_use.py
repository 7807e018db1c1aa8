"""A run of any number of labels per image is evaluated, predicts and is exported."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from records.errors import CorruptDataError, UsageError
from records.format.digest import digest_of
from records.runtime.shard_worker import RunnerConfig
from shardmill.cli import shardmill
from tests.trainers.drawn import FILES, NAMES, draw_shapes
from tests.trainers.shard_executor import Here
from trainers.evaluation import MultiLabelEvaluation, evaluate
from trainers.export import export
from trainers.prediction import Prediction, Predictor, find_images
from trainers.prediction.batch_job import predict_to_csv_shards
from trainers.runs.run_dir import Run, open_run
from trainers.runs.thresholds import (
    ThresholdsOfWeights,
    encode_thresholds,
    read_thresholds,
    replaced_thresholds,
)
from trainers.tasks import Findings


@pytest.fixture(scope="module")
def predictions(drawn_run: Path, new: Path) -> list[Prediction]:
    files = [(new / f"{number}.png").read_bytes() for number in FILES]
    return Predictor(drawn_run).predict(files, top_k=3)


def replace(run: Run, found: Findings, weights: bytes) -> bytes:
    """Return the thresholds file that training writes before these weights."""
    return encode_thresholds(ThresholdsOfWeights.of(found, weights), replaced_thresholds(run))


def set_thresholds(run: Path, *thresholds: float) -> None:
    weights = digest_of((run / "model.weights.h5").read_bytes()).sha256
    content = encode_thresholds(ThresholdsOfWeights(thresholds, weights))
    open_run(run).write("thresholds.json", content)


def test_evaluate_validation_equals_metrics_of_training(drawn_run: Path) -> None:
    found = evaluate(drawn_run, split="validation")
    assert isinstance(found, MultiLabelEvaluation)
    result = json.loads((drawn_run / "result.json").read_bytes())
    assert found.images == result["validation_images"]
    assert found.loss == pytest.approx(result["val_loss"], rel=1e-4)
    # Training counts logits in bins.
    expected = result["metrics"]["val_mean_average_precision"]
    assert found.mean_average_precision == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_evaluate_thresholds_of_run_have_highest_f1_on_validation(run: Path) -> None:
    chosen = evaluate(run, split="validation")
    assert isinstance(chosen, MultiLabelEvaluation)
    assert [each.threshold for each in chosen.per_class] == list(read_thresholds(open_run(run)))
    for threshold in (0.2, 0.5, 0.8):
        set_thresholds(run, *[threshold] * 3)
        other = evaluate(run, split="validation")
        assert isinstance(other, MultiLabelEvaluation)
        assert [each.threshold for each in other.per_class] == [threshold] * 3
        for best, each in zip(chosen.per_class, other.per_class, strict=True):
            assert (best.f1 or 0) >= (each.f1 or 0) - 0.02


def test_evaluate_command_prints_table_and_draws_pictures(run: Path, drawn_data: Path) -> None:
    ended = CliRunner().invoke(
        shardmill, ["evaluate", str(run), str(drawn_data), "--mistakes", "3"]
    )
    assert ended.exit_code == 0, ended.output
    assert "mean average precision" in ended.stdout
    pictures = sorted(path.name for path in run.glob("*-test.png"))
    assert pictures in (
        ["average-precision-test.png"],
        ["average-precision-test.png", "mistakes-test.png"],
    )


def test_evaluate_csv_has_labels_predictions_and_scores(run: Path, tmp_path: Path) -> None:
    found = evaluate(run, csv=tmp_path / "rows.csv")
    assert isinstance(found, MultiLabelEvaluation)
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found.images
    for each in found.per_class:
        chosen = [row for row in rows if each.name in json.loads(row["predicted"])]
        assert len(chosen) == each.true_positives + each.false_positives
        assert all(float(row[f"score_{each.name}"]) >= each.threshold - 1e-6 for row in chosen)
        assert sum(each.name in json.loads(row["classes"]) for row in rows) == each.images


def test_evaluate_command_json_has_task_and_counts(run: Path) -> None:
    ended = CliRunner().invoke(shardmill, ["evaluate", str(run), "--json"])
    found = json.loads(ended.stdout)
    assert found["task"] == "multi-label"
    for each in found["per_class"]:
        kinds = ("true_positives", "false_positives", "false_negatives", "true_negatives")
        assert sum(each[kind] for kind in kinds) == found["images"] == 60


def test_evaluate_other_task_is_an_error_with_command(
    drawn_run: Path, run_path: Path, drawn_data: Path, shapes: Path
) -> None:
    for path, data in ((drawn_run, shapes), (run_path, drawn_data)):
        with pytest.raises(UsageError, match="different tasks") as caught:
            evaluate(path, data)
        assert f"shardmill train {data} NEW_RUN" in str(caught.value.hint)


def test_predict_returns_all_classes_at_their_thresholds(
    drawn_run: Path, predictions: list[Prediction]
) -> None:
    thresholds = Predictor(drawn_run).thresholds
    assert thresholds == read_thresholds(open_run(drawn_run))
    right = 0
    for number, prediction in zip(FILES, predictions, strict=True):
        scores = {best.label: best.score for best in prediction.top}
        expected = [label for label in scores if scores[label] >= thresholds[label]]
        assert prediction.labels == tuple(expected)
        assert prediction.names == tuple(NAMES[label] for label in expected)
        assert prediction.scores == tuple(scores[label] for label in expected)
        right += sorted(prediction.labels) == list(draw_shapes(number)[1])
    assert right > len(FILES) // 2


def test_predict_extreme_thresholds_choose_all_classes_or_none(run: Path, new: Path) -> None:
    image = (new / f"{FILES[0]}.png").read_bytes()
    set_thresholds(run, 0, 0, 0)
    (all_of_them,) = Predictor(run).predict(image)
    assert sorted(all_of_them.labels) == [0, 1, 2]
    assert len(all_of_them.top) == 1
    set_thresholds(run, 1, 1, 1)
    (none,) = Predictor(run).predict(image)
    assert (none.labels, none.names, none.scores) == ((), (), ())
    assert "no class" in repr(none)


def test_predict_csv_and_json_have_predicted_and_best_classes(
    run: Path, new: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    arguments = ["predict", str(run), str(new), "--top-k", "2", "--json", "--csv", str(out)]
    ended = CliRunner().invoke(shardmill, [*arguments, "--grid", str(tmp_path / "grid.png")])
    assert ended.exit_code == 0, ended.output
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "file", "classes", "labels", "scores", "class", "label", "score", "class_2", "label_2",
        "score_2", "reason",
    ]  # fmt: skip
    for row, each in zip(rows, json.loads(ended.stdout), strict=True):
        if row["reason"]:
            assert (row["classes"], each.get("predicted")) == ("", None)
            continue
        assert json.loads(row["classes"]) == [best["class"] for best in each["predicted"]]
        assert json.loads(row["labels"]) == [best["label"] for best in each["predicted"]]
        scores = [best["score"] for best in each["predicted"]]
        assert json.loads(row["scores"]) == pytest.approx(scores, abs=1e-6)
        assert [row["class"], row["class_2"]] == [best["class"] for best in each["classes"]]


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


def test_predict_text_line_names_predicted_classes(run: Path, new: Path) -> None:
    image = new / f"{FILES[0]}.png"
    set_thresholds(run, 0, 0, 0)
    ended = CliRunner().invoke(shardmill, ["predict", str(run), str(image)])
    assert all(name in ended.stdout for name in NAMES)
    set_thresholds(run, 1, 1, 1)
    ended = CliRunner().invoke(shardmill, ["predict", str(run), str(image), "--top-k", "2"])
    assert "no class  (best: " in ended.stdout


def test_thresholds_belong_to_the_weights_at_any_moment(run: Path) -> None:
    set_thresholds(run, 0.25, 0.5, 0.75)
    opened, weights = open_run(run), (run / "model.weights.h5").read_bytes()
    # A process that is killed after the thresholds, or before the weights, are written.
    found = Findings((0.1, 0.2, 0.3))
    opened.write("thresholds.json", replace(opened, found, weights + b"new"))
    assert read_thresholds(opened) == (0.25, 0.5, 0.75)
    opened.write("model.weights.h5", weights + b"new")
    assert read_thresholds(opened) == (0.1, 0.2, 0.3)
    found = Findings((0.4, 0.5, 0.6))
    opened.write("thresholds.json", replace(opened, found, weights))
    opened.write("model.weights.h5", weights)
    assert read_thresholds(opened) == (0.4, 0.5, 0.6)
    opened.write("model.weights.h5", weights + b"other")
    with pytest.raises(CorruptDataError, match="the thresholds belong to other weights"):
        read_thresholds(opened)


@pytest.mark.parametrize("damage", ["missing", "changed", "too few"])
def test_damaged_thresholds_are_an_error(run: Path, damage: str) -> None:
    path = run / "thresholds.json"
    if damage == "missing":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    else:
        set_thresholds(run, 0.5)
    for use in (Predictor, evaluate):
        with pytest.raises(CorruptDataError, match=r"thresholds\.json"):
            use(run)


def ranked(prediction: Prediction) -> list[float]:
    return [best.score for best in prediction.top]


def test_export_saved_model_gives_probabilities_and_thresholds(
    run: Path, new: Path, predictions: list[Prediction], tmp_path: Path
) -> None:
    import tensorflow as tf

    set_thresholds(run, 0.25, 0.5, 0.75)
    folder = Path(export(run, tmp_path / "saved", "saved_model"))
    assert (folder / "thresholds.json").read_bytes() == (run / "thresholds.json").read_bytes()
    model = tf.saved_model.load(str(folder))
    files = tf.constant([(new / f"{number}.png").read_bytes() for number in FILES])
    pixels = tf.constant(np.stack([each.pixels for each in predictions]))  # type: ignore[misc]
    for signature, images in (("serving_default", files), ("pixels", pixels)):
        found = model.signatures[signature](image=images)
        expected = [ranked(each) for each in predictions]
        np.testing.assert_allclose(found["scores"], expected, atol=1e-5)
        labels = [[best.label for best in each.top] for each in predictions]
        np.testing.assert_allclose(found["thresholds"], np.array([0.25, 0.5, 0.75])[labels])
        names = [[name.decode() for name in row] for row in found["classes"].numpy()]
        assert names == [[best.name for best in each.top] for each in predictions]


def check_probabilities(found: Any, predictions: list[Prediction]) -> None:
    for row, prediction in zip(np.asarray(found), predictions, strict=True):
        expected = {best.label: best.score for best in prediction.top}
        np.testing.assert_allclose(row, [expected[label] for label in range(3)], atol=1e-5)


def test_export_keras_gives_probabilities_of_predict(
    drawn_run: Path, predictions: list[Prediction], tmp_path: Path
) -> None:
    import keras

    folder = Path(export(drawn_run, tmp_path / "keras"))
    model = keras.models.load_model(folder / "model.keras", safe_mode=True)
    pixels = np.stack([each.pixels for each in predictions])  # type: ignore[misc]
    check_probabilities(model.predict(pixels, verbose=0), predictions)


def test_export_onnx_gives_probabilities_and_thresholds(
    drawn_run: Path, predictions: list[Prediction], tmp_path: Path
) -> None:
    pytest.importorskip("tf2onnx", reason="needs shardmill[onnx]: no tf2onnx")
    from onnx.reference import ReferenceEvaluator

    folder = Path(export(drawn_run, tmp_path / "onnx", "onnx"))
    model = ReferenceEvaluator(str(folder / "model.onnx"))
    pixels = np.stack([each.pixels for each in predictions])  # type: ignore[misc]
    scores, thresholds = model.run(None, {"image": pixels})
    check_probabilities(scores, predictions)
    np.testing.assert_allclose(thresholds, read_thresholds(open_run(drawn_run)), rtol=1e-6)


def test_predict_truth_of_several_labels_is_an_error(run: Path, new: Path) -> None:
    ended = CliRunner().invoke(shardmill, ["predict", str(run), str(new), "--truth"])
    assert isinstance(ended.exception, UsageError)
    assert "got multi-label; omit --truth" in str(ended.exception)
