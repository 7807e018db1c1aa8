"""Page of a report in Chromium."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shardmill as sm
from records.format.index import Reject
from records.storage import open_storage
from records.text.keys import key_to_single_line
from tests.datasets import DatasetBuilder, Source, encode_picture, make_sources
from tests.reports import PageReader

pytestmark = pytest.mark.slow
LABELS = ("cat", "<script>document.title='attacked'</script>", "\u05d0\u05d1 \u202egnp")
HOSTILE_KEY = "dog/\u202e<img src=x onerror=document.title='attacked'>" + "x" * 3000 + ".png"
_CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Yield a browser."""
    driver = pytest.importorskip(
        "playwright.sync_api", reason="needs the package playwright, which drives the browser"
    )
    path = shutil.which("chromium") or shutil.which("google-chrome") or _CHROMIUM
    if not Path(path).exists():
        pytest.skip(f"needs Chromium: no file {path}")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "data"
    one, two = map(encode_picture, (900, 901))
    train = [*make_sources(90), Source(HOSTILE_KEY.encode(), 1, one), Source(b"cat/l.png", 0, two)]
    test = [*make_sources(30, first=100), Source(b"dog/l.png", 1, two)]
    rejects = tuple(
        Reject(f"cat/<b>{number}.jpg", "cat", ("truncated", "corrupt")[number % 2], "bad", number)
        for number in range(40)
    )
    builder = DatasetBuilder(open_storage(folder), LABELS, rejects=rejects)
    builder.build({"train": [train], "test": [test]})
    return folder


@pytest.fixture(scope="module")
def report_path(data: Path) -> Path:
    path = data.with_name("report.html")
    sm.report(data, output=path, measure=True)
    return path


@pytest.fixture
def page(chromium: Any, report_path: Path) -> Iterator[Any]:
    context = chromium.new_context(accept_downloads=True)
    page = context.new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("console", lambda message: seen.append(f"console: {message.text}"))
    page.goto(report_path.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    allowed = (report_path.as_uri(), "data:", "blob:")
    assert [url for url in seen if not url.startswith(allowed)] == []
    assert "attacked" not in page.title()
    context.close()


def part_of(page: Any, title: str) -> Any:
    return page.locator(".part").filter(has=page.get_by_text(title, exact=True)).last


def test_page_every_section_has_content(page: Any) -> None:
    sections = page.locator("main > section")
    assert sections.count() == 9
    for number in range(sections.count()):
        assert sections.nth(number).locator("dl, table, svg, .note").count()
    assert page.locator("main svg[role=img]").count() >= 5
    for link in page.locator("nav a").all():
        target = link.get_attribute("href")
        assert page.locator(target).count() == 1


def test_page_hostile_names_are_text(page: Any, report_path: Path) -> None:
    expected = PageReader(report_path.read_text())
    assert page.locator("main script, main img[onerror], nav script").count() == 0
    names = [row[0] for row in expected.part("Images by class and split")["rows"]]
    cells = part_of(page, "Images by class and split").locator("tbody td:first-child")
    assert cells.all_text_contents() == names
    assert "<script>" in names[1]


def test_table_sorts_and_filters(page: Any) -> None:
    table = part_of(page, "Rejected images")
    assert table.locator("tbody tr").count() == 25
    assert "40 rows, page 1 of 2" in table.locator(".tools").inner_text()
    table.get_by_role("button", name="size").click()
    assert table.locator("tbody tr").first.locator("td").last.inner_text() == "39 B"
    table.get_by_role("button", name="size").click()
    assert table.locator("tbody tr").first.locator("td").last.inner_text() == "0 B"
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    table.get_by_role("combobox", name="reason").select_option(label="truncated")
    assert table.locator("tbody tr").count() == 20
    table.get_by_role("searchbox").fill("<b>38 cat")
    assert table.locator("tbody tr").count() == 1
    assert "1 of 40 rows" in table.locator(".tools").inner_text()


def test_gallery_filters_by_class_and_split(page: Any, data: Path) -> None:
    gallery = part_of(page, "Samples of the classes")
    gallery.get_by_role("combobox", name=re.compile("^split of")).select_option(label="test")
    gallery.get_by_role("combobox", name=re.compile("^class of")).select_option(label="cat")
    keys = gallery.locator("figcaption").all_text_contents()
    expected = [record.key for record in sm.open_dataset(data)["test"] if record.label == 0]
    assert set(keys) <= set(expected)
    assert len(keys) == gallery.locator("figure").count() > 0


def test_selected_keys_are_the_keys_that_remove_takes(
    page: Any, data: Path, tmp_path: Path
) -> None:
    gallery = part_of(page, "Samples of the classes")
    gallery.get_by_role("searchbox").fill("onerror")
    gallery.get_by_role("checkbox").check()
    leaks = part_of(page, "Identical files")
    leaks.get_by_role("checkbox").first.check()
    assert page.locator("#selected").inner_text() == "2 images selected"
    with page.expect_download() as download:
        page.get_by_role("button", name="Save keys").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.read_text().splitlines() == ["cat/l.png", key_to_single_line(HOSTILE_KEY)]
    copied = shutil.copytree(data, tmp_path / "copied")
    assert sm.remove(copied, path.read_text().splitlines()).removed == 2


def test_corrections_are_the_classes_that_relabel_takes(
    page: Any, data: Path, tmp_path: Path
) -> None:
    part_of(page, "Identical files").get_by_role("checkbox").first.check()
    page.locator("#new-class").select_option("1")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save corrections").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"key": "cat/l.png", "class": LABELS[1]}
    ]
    copied = shutil.copytree(data, tmp_path / "copied")
    from click.testing import CliRunner

    from shardmill.cli import shardmill

    result = CliRunner().invoke(shardmill, ["relabel", str(copied), str(path)])
    assert result.exception is None, result.exception
    labels = {record.key: record.label for record in sm.open_dataset(copied)["train"]}
    assert labels["cat/l.png"] == 1


def test_viewer_shows_key_size_and_format_and_is_used_with_the_keyboard(page: Any) -> None:
    gallery = part_of(page, "Samples of the classes")
    gallery.locator("button.show").first.focus()
    page.keyboard.press("Enter")
    viewer = page.get_by_role("dialog")
    first = viewer.get_by_role("heading").inner_text()
    assert {"class", "split", "size", "format", "stored size", "changes"} <= set(
        viewer.locator("dt").all_text_contents()
    )
    assert viewer.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)")
    page.keyboard.press("ArrowRight")
    assert viewer.get_by_role("heading").inner_text() != first
    page.keyboard.press("Escape")
    assert not viewer.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_page_has_no_horizontal_scroll_and_readable_colours(
    chromium: Any, report_path: Path, scheme: str, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(report_path.as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 29)"
    assert dark == (scheme == "dark")
    page.locator("#theme").click()
    assert dark != (
        page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 29)"
    )
    context.close()


def test_every_control_has_a_name(page: Any) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select")].filter((control) =>
            !(control.getAttribute("aria-label") || control.textContent.trim() ||
              control.labels?.length)).length"""
    )
    assert unnamed == 0
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("table:not(:has(caption))").count() == 0
