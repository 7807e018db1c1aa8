"""Mistakes in a report have class activation maps of the right outputs."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import shardmill as sm
from records.dataset import open_dataset
from records.report import ImageSet
from records.report.parts import Note, Table
from records.stats import read_index_rows
from tests.reports import PageReader
from trainers.evaluation.mistakes import AnyMistake, LabelMistake, Mistake, ValueMistake
from trainers.report.mistakes import PICTURED_MISTAKES, Explanation, draw_overlay, mistake_parts


@pytest.fixture
def images(shapes: Path) -> ImageSet:
    dataset = open_dataset(shapes)
    return ImageSet(dataset, read_index_rows(dataset).combine_chunks())


def make_mistakes(shapes: Path, kind: type[AnyMistake]) -> list[AnyMistake]:
    """One mistake for each test image; with several labels, two for each of the first images."""
    keys = [record.key for record in open_dataset(shapes)["test"]]
    if kind is Mistake:
        return [Mistake(key, "", 0, "<b>disc", "square", 0.9) for key in keys]
    if kind is ValueMistake:
        return [ValueMistake(key, "", 0, 1, 2, 1) for key in keys]
    return [LabelMistake(key, "", 0, name, True, 0.9) for key in keys for name in ("disc", "<i>")]


@pytest.mark.parametrize("kind", [Mistake, LabelMistake, ValueMistake])
def test_first_mistakes_have_overlays_of_their_own(
    shapes: Path, images: ImageSet, kind: type[AnyMistake]
) -> None:
    mistakes = make_mistakes(shapes, kind)
    maps = [np.full((24, 32), place % 2, np.float32) for place in range(PICTURED_MISTAKES)]
    (table,) = mistake_parts(mistakes, Explanation(maps), images, name="run-2")
    assert isinstance(table, Table)
    images.load_pictures()
    seen = set()
    rows: Any = table.rows
    for place, (row, overlay) in enumerate(zip(rows, table.overlays, strict=True)):
        entry = images.entries[row[0][0]]
        found = entry.overlays.get(overlay)
        assert (found is not None) == (place < PICTURED_MISTAKES)
        if found is not None:
            assert decode(found.picture).size == decode(entry.picture).size
            seen.add((entry.key, found.picture))
    assert len(seen) == PICTURED_MISTAKES


def decode(url: str | None) -> Image.Image:
    assert url is not None
    return Image.open(io.BytesIO(b64decode(url.partition(",")[2])))


def test_mistakes_without_maps_have_no_overlays_and_the_problem_is_shown(
    shapes: Path, images: ImageSet
) -> None:
    mistakes = make_mistakes(shapes, Mistake)
    note, table = mistake_parts(mistakes, Explanation((), "it has no map"), images, name="run-1")
    assert isinstance(note, Note)
    assert "it has no map" in note.text
    assert isinstance(table, Table)
    assert not table.overlays
    (table,) = mistake_parts(mistakes, Explanation(()), images, name="run-1")
    images.load_pictures()
    assert not any(entry.overlays for entry in images.entries)


def test_overlay_is_grey_except_at_the_high_places_of_the_map() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    activation = np.zeros((6, 8), np.float32)
    activation[:3, :4] = 1
    drawn = np.asarray(draw_overlay(activation, image)).astype(int)
    assert drawn.shape == (60, 80, 3)
    colored = np.ptp(drawn, axis=2) > 4
    assert colored[:25, :35].all()
    assert not colored[36:, :].any()
    assert not colored[:, 46:].any()


@pytest.mark.slow
def test_report_explains_mistakes_only_on_request(shapes: Path, tmp_path: Path) -> None:
    sm.train(shapes, tmp_path / "run", steps=1, image_size=32)
    part = PageReader(sm.report(shapes, tmp_path / "run").html).part("Worst mistakes")
    assert part["overlays"] == []
    page = PageReader(sm.report(shapes, tmp_path / "run", explain=True).html)
    explained = page.part("Worst mistakes")
    assert explained["rows"] == part["rows"]
    shown = explained["rows"][:PICTURED_MISTAKES]
    overlays = zip(shown, explained["overlays"], strict=False)
    images = page.data["images"]
    assert [images[row[0][0]]["overlays"][overlay]["text"] for row, overlay in overlays] == [
        f"places that support {row[2]}" for row in shown
    ]
    assert shown
