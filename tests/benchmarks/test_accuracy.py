"""Benchmarks of accuracy: flipped labels, kept features, known places, and tables."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import shardmill as sm
from benchmarks import registry
from benchmarks.harness.samples import Result, Sample
from benchmarks.harness.seeds import name_figures
from benchmarks.inputs.patterns import PATTERNS, SIDE_PX, Box, draw_pattern
from benchmarks.inputs.photo_features import PhotoFeatures
from benchmarks.inputs.real_photos import convert_labelled, flip_labels, read_classes
from benchmarks.page.page import make_tables
from benchmarks.suites import imbalance, label_errors, label_loop, pointing_game, rejection
from tests.trainers.toy_backbone import make_network

CLASSES = {f"{name}/{number}.jpg": name for name in "abc" for number in range(40)}


def test_flip_labels_share_of_keys_gets_another_class() -> None:
    flipped = flip_labels(CLASSES, 0.25, seed=1)
    assert len(flipped) == 30
    assert all(CLASSES[key] != name for key, name in flipped.items())
    assert set(Counter(flipped.values())) == {"a", "b", "c"}
    assert flip_labels(CLASSES, 0.25, seed=1) == flipped != flip_labels(CLASSES, 0.25, seed=2)


def test_score_counts_flipped_labels_among_the_first_candidates() -> None:
    flipped = [str(number) for number in range(20)]
    ranked = [*flipped[:8], "x", "y", *flipped[8:14], *"abcdefgh", *flipped[14:16]]
    figures = label_errors.score(ranked, flipped, also_wrong=["0", "x", "c", "h"])
    assert figures[label_errors.ALSO_WRONG] == 2
    assert figures[label_errors.CANDIDATES] == 26
    assert figures[label_errors.precision_at(10)] == 0.8
    assert figures[label_errors.AT_FLIPPED] == 0.7
    assert figures[label_errors.RECALL] == 0.8
    assert label_errors.precision_at(25) not in figures
    assert label_errors.ALSO_WRONG not in label_errors.score(ranked, flipped)


@pytest.mark.slow
def test_photo_features_of_relabelled_photos_are_kept_for_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "trainers.features.extract.build_extractor_network",
        lambda architecture, _weights: make_network(shape=architecture.shape),
    )
    random = np.random.default_rng(0)
    for key, name in CLASSES.items():
        path = tmp_path / "photos" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        color = np.full(3, 60) + 120 * (np.arange(3) == "abc".index(name))
        pixels = np.clip(color + random.normal(0, 12, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    classes = read_classes(tmp_path / "photos")
    assert classes == CLASSES
    right = convert_labelled(tmp_path / "photos", tmp_path / "right", classes)
    photos = PhotoFeatures(right, "mobilenet_v2", "none")
    flipped = flip_labels(classes, 0.05, seed=0)
    wrong = convert_labelled(tmp_path / "photos", tmp_path / "wrong", classes | flipped)
    photos.keep(wrong)
    monkeypatch.setattr(
        "trainers.features.load.extract_intact", lambda *_, **__: pytest.fail("extracted again")
    )
    found = sm.label_errors(wrong, model="mobilenet_v2", weights="none")
    corrected = {key for key, name in found.corrections().items() if name == classes[key]}
    assert len(corrected & set(flipped)) >= 5
    assert photos.of(flipped).shape == (6, 4)


@pytest.mark.parametrize("name", PATTERNS)
def test_draw_pattern_only_the_square_depends_on_the_class(name: str) -> None:
    other = next(each for each in PATTERNS if each != name)
    first, box = draw_pattern(name, np.random.default_rng(3))
    second, same = draw_pattern(other, np.random.default_rng(3))
    assert box == same
    assert first.shape == (SIDE_PX, SIDE_PX, 3)
    differs = (first != second).any(axis=-1)
    inside = box.mask(SIDE_PX, SIDE_PX)
    assert inside.sum() == box.side**2
    assert not differs[~inside].any()
    assert differs[inside].mean() > 0.2


def test_judge_counts_maps_with_their_highest_place_in_the_square() -> None:
    box = Box(top=80, left=0, side=80)
    outside = np.zeros((4, 4), np.float32)
    outside[2:, :2] = 0.5
    outside[0, 0] = 1.0
    inside = outside.copy()
    inside[3, 1] = 2.0
    nowhere = np.zeros((4, 4), np.float32)
    assert [*pointing_game.judge([outside], [box])] == pytest.approx([0, 2 / 3])
    assert [*pointing_game.judge([inside], [box])] == pytest.approx([1, 3.5 / 4.5])
    assert pointing_game.judge([nowhere], [box]) == (0.0, 0.0)
    assert pointing_game.judge([outside, inside], [box, box]).points == 0.5


def test_choose_without_photos_leaves_out_benchmarks_of_accuracy(tmp_path: Path) -> None:
    assert set(registry.choose((), tmp_path)) == set(registry.BENCHMARKS) - registry.NEED_PHOTOS
    with pytest.raises(click.ClickException, match="label-loop: the photos or the weights"):
        registry.choose(["label-loop"], tmp_path)


def _result(benchmark: str, case: str, contestant: str, seeds: list[dict[str, float]]) -> Result:
    figures: dict[str, float] = {}
    for seed, each in enumerate(seeds):
        figures |= name_figures(each, seed)
    sample = Sample(case, 1500, 0, contestant, 0, 1.0, 1.0, None, 0, figures)
    return Result(benchmark, "python -m benchmarks", {}, {}, {}, {}, [sample])


def _last_row(result: Result) -> str:
    return make_tables({result.benchmark: result})[result.benchmark].splitlines()[-1]


def test_label_errors_table_has_means_of_seeds() -> None:
    first = label_errors.score([*"abxy"], "abcd")
    second = label_errors.score([*"abcx"], "abcd")
    result = _result("label-errors", "flowers, 5 %", label_errors.LABEL_ERRORS, [first, second])
    assert _last_row(result) == (
        "| 1,500 flowers, 5 % | label-errors | 4 | 4 | – | – | – | 62 % | – | 62 % |"
    )


def test_label_loop_table_has_means_and_ranges_of_seeds() -> None:
    counts = {
        label_loop.FLIPPED: 50,
        label_loop.FOUND: 40,
        label_loop.CANDIDATES: 80,
        label_loop.LEFT: 45,
        label_loop.AUTOMATIC: 0.9,
        label_loop.LOOKED: 0.92,
        label_loop.CLEAN: 0.93,
    }
    seeds = [{**counts, label_loop.BEFORE: accuracy} for accuracy in (0.85, 0.87)]
    row = _last_row(_result("label-loop", "flowers, 5 %", label_loop.LOOP, seeds))
    assert row.startswith("| 1,500 flowers, 5 % | 40 of 50 | 80 | 45 | 86.0 % (85.0–87.0) |")


def test_pointing_game_table_has_a_row_for_each_model() -> None:
    figures = {
        pointing_game.ACCURACY: 0.95,
        pointing_game.HIRES_CAM: 0.9,
        pointing_game.GRAD_CAM: 0.8,
        pointing_game.CENTER: 0.25,
        pointing_game.AREA: 0.11,
        pointing_game.INSIDE: 0.5,
    }
    row = _last_row(_result("pointing-game", pointing_game.PATTERNED, "cnn", [figures]))
    assert row.startswith("| `cnn`, 64×64 px | 95.0 % (95.0–95.0) | 90.0 % (90.0–90.0) |")
    assert "| 25 % | 11 % |" in row


def test_imbalance_table_has_means_and_ranges_of_seeds() -> None:
    figures = {imbalance.RAREST: 0.5}
    seeds = [{**figures, imbalance.ACCURACY: accuracy} for accuracy in (0.7, 0.8)]
    row = _last_row(_result("imbalance", "flowers", "--ema 0.999", seeds))
    assert row == "| `--ema 0.999` | 75.0 % (70.0–80.0) | 50.0 % (50.0–50.0) |"


def test_choose_photos_halves_the_frequency_of_each_next_class() -> None:
    classes = {f"{name}/{number}.jpg": name for name in "abcde" for number in range(300)}
    rows = imbalance.choose_photos(classes, seed=1)
    counts = Counter((name, split) for _, name, split in rows)
    assert sorted(counts[name, "train"] for name in "abcde") == [10, 20, 40, 80, 160]
    assert {counts[name, "test"] for name in "abcde"} == {80}
    assert len({key for key, _, _ in rows}) == len(rows)


def test_judge_counts_pairs_and_images_below_the_threshold() -> None:
    known, others = np.array([3.0, 4, 5, 6]), np.array([1.0, 3, 9, 2])
    figures = rejection.judge(known, others, validation=np.full(20, 3.5))
    # Of 16 pairs, the known image is higher in 11, and one pair is a tie.
    assert figures[rejection.AUROC] == 11.5 / 16
    assert figures[rejection.FALSE_POSITIVES] == 0.25
    assert (figures[rejection.KNOWN], figures[rejection.REJECTED]) == (0.75, 0.75)
    assert rejection.area_under_curve(others, others) == 0.5


def test_rejection_table_has_a_row_for_each_score() -> None:
    names = (rejection.AUROC, rejection.FALSE_POSITIVES, rejection.KNOWN, rejection.REJECTED)
    figures = {
        rejection.figure(score, name): 0.1 * number + 0.001
        for number, score in enumerate(rejection.SCORES)
        for name in names
    }
    result = _result("rejection", rejection.FOREIGN, "mobilenet_v2", [figures])
    table = make_tables({result.benchmark: result})[result.benchmark].splitlines()
    assert len(table) == 2 + len(rejection.SCORES)
    share = "60.1 % (60.1–60.1)"
    assert table[-1] == (
        f"| cats and dogs | {rejection.CLASS_MEANS} | 0.601 (0.601–0.601) | "
        f"{share} | {share} | {share} |"
    )
