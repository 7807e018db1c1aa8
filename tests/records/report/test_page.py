"""A page shows every text as text, and makes no request."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from records.dataset import open_dataset
from records.report import ImageSet, add_findings, render_page
from records.report.charts import draw_histogram, draw_lines
from records.report.page import encode_for_script
from records.report.parts import (
    Column,
    Facts,
    Finding,
    Link,
    Links,
    Note,
    Section,
    Table,
    show_name,
)
from records.stats import read_index_rows
from records.storage import open_storage
from tests.datasets import DatasetBuilder, make_sources
from tests.reports import PageReader

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "\"'><b>&amp;",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe",
    "\u05d0\u05d1\u05d2",
    "\u2028\u2029\x00\x1b[31m",
    "x" * 10_000,
)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    folder = tmp_path / "data"
    DatasetBuilder(open_storage(folder)).build({"train": [make_sources(3)]})
    dataset = open_dataset(folder)
    return ImageSet(dataset, read_index_rows(dataset))


def render(images: ImageSet, texts: tuple[str, ...]) -> PageReader:
    table = Table(texts[0], (Column(texts[0]),), [(text,) for text in texts])
    facts = Facts(tuple((text, text) for text in texts))
    links = Links(tuple(Link("one", text, text) for text in texts))
    parts = (facts, links, Note(texts[0], texts), table)
    sections = [Section("one", texts[0], parts)]
    page = render_page(texts[0], sections, images, dataset=texts[0], classes=texts)
    return PageReader(page.html)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_page_hostile_texts_add_no_element_and_no_attribute(images: ImageSet, hostile: str) -> None:
    plain, attacked = render(images, ("plain",)), render(images, (hostile,))

    def shape(page: PageReader) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in page.elements]

    assert shape(attacked) == shape(plain)
    assert attacked.data["classes"] == [hostile]
    assert attacked.part(hostile)["rows"] == [[hostile]]


def test_findings_link_to_their_parts_and_empty_tables_are_left_out(images: ImageSet) -> None:
    tables = [
        Table(title, (Column("name"),), [(title,)] * count)
        for title, count in (("empty", 0), ("one", 1), ("two", 2))
    ]
    findings = [Finding(title, title, title) for title in ("two", "one", "empty", "absent", "")]
    section = Section("some", "Some", (Note("first"), *tables), tuple(findings))
    page = PageReader(render_page("Page", [*add_findings([section])], images, dataset="data").html)
    links = [found["href"] for tag, found in page.elements if tag == "a"]
    assert links[-5:] == ["#some_2", "#some_1", "#some", "#some", "#some"]
    places = {found.get("id"): found.get("data-part") for _, found in page.elements}
    for anchor, title in (("some_1", "one"), ("some_2", "two")):
        assert page.data["parts"][int(places[anchor] or "")]["title"] == title
    assert [part["title"] for part in page.data["parts"]] == ["one", "two"]


def test_page_loads_nothing_and_allows_only_its_script(images: ImageSet) -> None:
    page = render(images, HOSTILE)
    policies = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = b64encode(sha256(page.scripts[1].encode()).digest()).decode()
    expected = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    expected += f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert policies == [expected]
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_encode_for_script_has_no_character_of_html(text: str) -> None:
    encoded = encode_for_script([text])
    assert not set("<>&\u2028\u2029") & set(encoded)


def test_show_name_is_short_and_visible() -> None:
    for name in HOSTILE:
        shown = show_name(name)
        assert len(shown) <= 120
        assert "\u202e" not in shown
        assert shown.isprintable()


def test_charts_take_their_colours_from_the_page_and_have_unique_ids() -> None:
    values = np.geomspace(1, 1000, 50)
    charts = [
        draw_histogram("Sizes", values, x="size", is_log=True),
        draw_histogram("Other sizes", values, x="size", is_log=True),
        draw_lines("Curves", [1, 2, 3], {"a": [0.1, None, 0.3], "b": [1, 2, 3]}, x="x", y="y"),
    ]
    ids: list[str] = []
    for chart in charts:
        assert chart is not None
        assert chart.svg.startswith(f'<svg role="img" aria-label="{chart.title}"')
        assert not re.search("#[0-9a-f]{6}", chart.svg.replace("#ffffff", "")), chart.title
        assert "<metadata" not in chart.svg
        assert "<style" not in chart.svg
        ids += re.findall(r' id="([^"]+)"', chart.svg)
        assert chart.table.rows
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("epochs", range(1, 4))
def test_chart_of_few_epochs_has_a_tick_for_each_epoch(epochs: int) -> None:
    numbers = [*range(1, epochs + 1)]
    chart = draw_lines("Curve", numbers, {"a": [0.5] * epochs}, x="epoch", y="y", x_kind="count")
    ticks = re.findall(r"text-anchor: middle[^>]*>([^<]+)<", chart.svg)
    assert [*filter(str.isdigit, ticks)] == [*map(str, numbers)]
    assert not [tick for tick in ticks if re.fullmatch(r"\d*\.\d+", tick)]


def test_histogram_without_finite_values_is_no_chart() -> None:
    assert draw_histogram("Empty", np.array([np.nan, np.inf]), x="x") is None
    one = draw_histogram("One value", np.array([3.0, 3.0]), x="x")
    assert one is not None
    assert [row[1] for row in one.table.rows] == [2]
