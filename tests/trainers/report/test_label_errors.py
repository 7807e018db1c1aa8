"""Candidates of `label-errors` in a report are those of the dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

import shardmill as sm
from records.dataset import Dataset, open_dataset
from records.errors import InputNotFoundError, UsageError
from records.report import ImageSet
from records.report.parts import Facts, Section, Table
from records.stats import read_index_rows
from records.text.escaping import escape_json
from shardmill.cli import shardmill
from tests.reports import PageReader
from trainers.label_errors import ClassOverlap, LabelError, LabelErrors, Outlier
from trainers.label_errors.saved import read_label_errors
from trainers.report import label_errors as module
from trainers.report.label_errors import label_errors_section


def make_result(dataset: Dataset) -> LabelErrors:
    """Every third test image is a candidate; one was corrected, and one removed since."""
    records = list(dataset["test"])
    names = dataset.labels
    found = [
        LabelError(each.key, "test", each.class_name, names[(each.label + 1) % 3], 0.1, 0.8, 0)
        for each in records[::3]
    ]
    corrected = msgspec.structs.replace(found[1], key=records[1].key, class_name="other")
    removed = msgspec.structs.replace(found[1], key="gone/\u202e.jpg")
    return LabelErrors(
        model="mobilenet_v2",
        folds=5,
        images=210,
        damaged_records=0,
        accuracy=0.9,
        accuracy_interval=(0.85, 0.94),
        candidates=(*found, corrected, removed),
        outliers=(Outlier(records[0].key, "test", records[0].class_name, 0.5, 0),),
        outlier_limit=0.4,
        overlaps=(ClassOverlap((names[0], names[1]), 3),),
    )


@pytest.fixture
def dataset(shapes: Path) -> Dataset:
    return open_dataset(shapes)


def describe(dataset: Dataset, found: LabelErrors) -> tuple[Section, ImageSet]:
    rows = read_index_rows(dataset).combine_chunks()
    images = ImageSet(dataset, rows)
    return label_errors_section(found, dataset, rows, images), images


def part_of(section: Section, title: str) -> Table:
    (found,) = (part for part in section.parts if isinstance(part, Table) and part.title == title)
    return found


def test_section_lists_candidates_that_are_still_in_the_dataset(dataset: Dataset) -> None:
    found = make_result(dataset)
    section, images = describe(dataset, found)
    rows: Any = part_of(section, "Labels that may be wrong").rows
    expected = found.candidates[:-2]
    assert [images.entries[row[0][0]].key for row in rows] == [each.key for each in expected]
    assert [row[1:5] for row in rows] == [
        (each.class_name, each.suggested, 0.1, 0.8) for each in expected
    ]
    for row in rows:
        suggested = images.entries[row[0][0]].suggested
        assert suggested is not None
        assert dataset.labels[suggested] == row[2]
    (facts,) = (part for part in section.parts if isinstance(part, Facts))
    assert dict(facts.rows)["left out, because they were removed or corrected"] == "2"
    assert len(part_of(section, "Outliers").rows) == 1
    assert part_of(section, "Confused classes").rows == [("disc", "square", 3)]


def test_section_without_candidates_has_no_empty_table(dataset: Dataset) -> None:
    empty = msgspec.structs.replace(make_result(dataset), candidates=(), outliers=(), overlaps=())
    section, images = describe(dataset, empty)
    assert not [part for part in section.parts if isinstance(part, Table)]
    assert images.entries == []


def test_section_lists_only_the_first_of_many_candidates(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_CANDIDATES", 4)
    monkeypatch.setattr(module, "_PICTURED_CANDIDATES", 2)
    section, images = describe(dataset, make_result(dataset))
    images.load_pictures()
    table = part_of(section, "Labels that may be wrong")
    assert len(table.rows) == 4
    assert (table.total, table.thing) == (20, "label")
    rows: Any = table.rows
    assert [images.entries[row[0][0]].picture is None for row in rows] == [False, False, True, True]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_read_label_errors_is_the_result_that_was_printed(
    dataset: Dataset, tmp_path: Path, encoding: str
) -> None:
    found = make_result(dataset)
    printed = escape_json(msgspec.json.format(msgspec.json.encode(found), indent=2)).decode()
    path = tmp_path / "found.json"
    path.write_bytes(printed.encode(encoding))
    assert read_label_errors(path) == found


@pytest.mark.parametrize("content", [b"", b'{"keys": []}', b"[1", b"\x89PNG\r\n", b"\xff"])
def test_read_label_errors_other_content_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "found.json"
    with pytest.raises(InputNotFoundError, match="label-errors DATASET --model NAME --json"):
        read_label_errors(path)
    path.write_bytes(content)
    with pytest.raises(UsageError, match="label-errors"):
        read_label_errors(path)


@pytest.mark.slow
def test_report_command_shows_label_errors_of_a_file(shapes: Path, tmp_path: Path) -> None:
    found = make_result(open_dataset(shapes))
    path, output = tmp_path / "found.json", tmp_path / "report.html"
    path.write_bytes(msgspec.json.encode(found))
    arguments = ["report", str(shapes), "-o", str(output), "--label-errors", str(path), "--json"]
    ended = CliRunner().invoke(shardmill, arguments, catch_exceptions=False)
    assert "label-errors" in json.loads(ended.stdout)["sections"]
    page = PageReader(output.read_text())
    assert page.data == PageReader(sm.report(shapes, label_errors=found).html).data
    assert len(page.part("Labels that may be wrong")["rows"]) == len(found.candidates) - 2
