"""The model card describes the run and its dataset, and no name can change its layout."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from trainers.export.formats import FORMATS
from trainers.export.model_card import find_manifest, make_model_card
from trainers.export.preprocessing import describe_preprocessing, encode_preprocessing
from trainers.runs.result import read_result
from trainers.runs.run_dir import open_run

if TYPE_CHECKING:
    from pathlib import Path


def test_model_card_has_data_figures_limits_and_provenance(run_path: Path) -> None:
    run = open_run(run_path)
    result = read_result(run)
    assert result is not None
    for name in FORMATS:
        card = make_model_card(run, name).decode()
        assert card.startswith("---\n")
        titles = [line[3:] for line in card.splitlines() if line.startswith("## ")]
        assert titles == [
            "Use the model", "Input and output", "Data", "Figures", "Limits", "Provenance",
        ]  # fmt: skip
        assert result.summary() in card
        assert "95% CI" in card
        assert "| train | 150 | 3 |" in card
        assert run.config.plan_digests[0] in card


def test_model_card_changed_dataset_has_no_counts(run_path: Path, tmp_path: Path) -> None:
    run = open_run(run_path)
    assert find_manifest(run) is not None
    for config in (
        msgspec.structs.replace(run.config, plan_digests=("0" * 32,)),
        msgspec.structs.replace(run.config, dataset=str(tmp_path / "lost")),
        msgspec.structs.replace(run.config, dataset="s3://bucket/data"),
    ):
        other = replace(run, config=config)
        assert find_manifest(other) is None
        assert "| split |" not in make_model_card(other, "keras").decode()


def test_model_card_unfinished_run_has_no_figures(run_path: Path, tmp_path: Path) -> None:
    shutil.copytree(run_path, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    assert (
        "The run is not finished" in make_model_card(open_run(tmp_path / "run"), "keras").decode()
    )


def test_model_card_hostile_names_are_text(run_path: Path) -> None:
    run = open_run(run_path)
    hostile = "a`b\n## Title | <script>"
    config = msgspec.structs.replace(run.config, dataset=hostile)
    card = make_model_card(replace(run, config=config), "onnx").decode()
    assert "\n## Title" not in card
    assert "\n| dataset | a\\`b\\\\n\\#\\# Title \\| \\<script\\> |\n" in card


def test_preprocessing_file_has_input_output_and_image_options(run_path: Path) -> None:
    config = open_run(run_path).config
    content = json.loads(encode_preprocessing(describe_preprocessing(config, 1)))
    assert content["format_version"] == 1
    assert content["input"] == {
        "name": "image", "dtype": "uint8", "height_px": 24, "width_px": 32, "channels": 3,
        "batch": 1,
    }  # fmt: skip
    output = {"name": "scores", "dtype": "float32", "size": 3, "kind": "probabilities"}
    assert content["output"] == output
    assert content["normalization"]["resize"] is None
    assert content["resize"]["antialias_from"] == 2
