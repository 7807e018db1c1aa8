"""Page of a report in Chromium."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageOps

import shardmill as sm
from records.format.index import Reject
from records.report import ImageSet, render_page
from records.report.parts import Column, Section, Table
from records.stats import read_index_rows
from records.storage import open_storage
from records.text.keys import key_to_single_line
from tests.datasets import DatasetBuilder, Source, encode_picture, make_sources
from tests.reports import PageReader
from trainers.label_errors import LabelError, LabelErrors

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
    assert sections.count() == 12
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
    assert "40 files, page 1 of 2" in table.locator(".tools").inner_text()
    # The whole cell of a heading sorts, and its button does with the keyboard.
    heading = table.locator("th").last
    assert heading.evaluate("cell => getComputedStyle(cell).cursor") == "pointer"
    heading.click(position={"x": 3, "y": 3})
    assert table.locator("tbody tr").first.locator("td").last.inner_text() == "39 B"
    heading.get_by_role("button").press("Enter")
    assert table.locator("tbody tr").first.locator("td").last.inner_text() == "0 B"
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    table.get_by_role("combobox", name="reason").select_option(label="truncated")
    assert table.locator("tbody tr").count() == 20
    table.get_by_role("searchbox").fill("<b>38 cat")
    assert table.locator("tbody tr").count() == 1
    assert "1 of 40 files" in table.locator(".tools").inner_text()


def test_gallery_filters_by_class_and_split(page: Any, data: Path) -> None:
    gallery = part_of(page, "Samples of the classes")
    gallery.get_by_role("combobox", name=re.compile("^split of")).select_option(label="test")
    gallery.get_by_role("combobox", name=re.compile("^class of")).select_option(label="cat")
    keys = gallery.locator("figcaption").all_text_contents()
    expected = [record.key for record in sm.open_dataset(data)["test"] if record.label == 0]
    assert set(keys) <= set(expected)
    assert len(keys) == gallery.locator("figure").count() > 0


def test_images_of_a_leak_have_their_class_and_split(page: Any) -> None:
    leak = part_of(page, "Identical files").locator("tbody tr").first
    assert leak.locator("figcaption").all_text_contents() == ["dog/l.png", "cat/l.png"]
    assert leak.locator(".place").all_text_contents() == [f"{LABELS[1]} · test", "cat · train"]


def test_selected_keys_are_the_keys_that_remove_takes(
    page: Any, data: Path, tmp_path: Path
) -> None:
    gallery = part_of(page, "Samples of the classes")
    gallery.get_by_role("searchbox").fill("onerror")
    gallery.get_by_role("checkbox").check()
    leaks = part_of(page, "Identical files")
    leaks.get_by_role("button", name="except the images to keep").click()
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
    leak = part_of(page, "Identical files").locator("tbody tr").first
    leak.get_by_role("checkbox").nth(1).check()
    choose(page.locator("#class-of-all"), "1")
    assert save_text(page) == ("Save 1 correction", "1 of 1 selected image")
    # An image that is selected later has no class until the user chooses one.
    leak.get_by_role("checkbox").first.check()
    assert save_text(page) == (
        "Save 1 correction",
        "1 of 2 selected images; 1 has no class",
    )
    choose(leak.get_by_role("combobox", name="Correct class of dog/l.png"), "2")
    part_of(page, "Rejected images").get_by_role("checkbox").first.check()
    assert save_text(page) == ("Save 2 corrections", "2 of 2 selected images")
    with page.expect_download() as download:
        page.locator("#save-classes").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"key": "cat/l.png", "class": LABELS[1]},
        {"key": "dog/l.png", "class": LABELS[2]},
    ]
    copied = shutil.copytree(data, tmp_path / "copied")
    from click.testing import CliRunner

    from shardmill.cli import shardmill

    result = CliRunner().invoke(shardmill, ["relabel", str(copied), str(path)])
    assert result.exception is None, result.exception
    labels = {record.key: record.label for record in sm.open_dataset(copied)["train"]}
    assert labels["cat/l.png"] == 1


def choose(list_: Any, value: str) -> None:
    """Choose an option of a list that has its options when it has the focus."""
    list_.focus()
    list_.select_option(value)


def save_text(page: Any) -> tuple[str, str]:
    button, text = page.locator("#save-classes"), page.locator("#corrected")
    return button.inner_text(), text.inner_text()


def test_correct_class_ends_with_the_selection(page: Any) -> None:
    leak = part_of(page, "Identical files").locator("tbody tr").first
    leak.get_by_role("checkbox").first.check()
    choose(page.locator("#class-of-all"), "2")
    page.get_by_role("button", name="Clear the selection").click()
    assert not page.locator("#selection").is_visible()
    for box in leak.get_by_role("checkbox").all():
        box.check()
    assert save_text(page)[1] == "0 of 2 selected images; 2 have no class"
    assert page.locator("#save-classes").is_disabled()


def test_correct_class_is_chosen_in_the_viewer_and_selects_the_image(page: Any) -> None:
    leak = part_of(page, "Identical files").locator("tbody tr").first
    leak.locator("button.show").first.click()
    viewer = page.get_by_role("dialog")
    choose(viewer.get_by_role("combobox"), "2")
    assert viewer.get_by_role("checkbox", name="Select").is_checked()
    # The arrow keys belong to the list while it has the focus.
    title = viewer.get_by_role("heading").inner_text()
    viewer.get_by_role("combobox").press("ArrowRight")
    assert viewer.get_by_role("heading").inner_text() == title
    viewer.get_by_role("button", name="Next").click()
    assert viewer.get_by_role("combobox").input_value() == ""
    page.keyboard.press("Escape")
    in_row = leak.get_by_role("combobox", name="Correct class of dog/l.png")
    assert in_row.input_value() == "2"
    assert save_text(page)[1] == "1 of 1 selected image"


def test_selection_and_classes_survive_a_reload(page: Any) -> None:
    leak = part_of(page, "Identical files").locator("tbody tr").first
    for box in leak.get_by_role("checkbox").all():
        box.check()
    choose(leak.get_by_role("combobox").first, "2")
    before = page.locator("#selected").inner_text(), save_text(page)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert (page.locator("#selected").inner_text(), save_text(page)) == before
    assert leak.get_by_role("checkbox").first.is_checked()
    assert leak.get_by_role("combobox").first.input_value() == "2"


def test_findings_show_the_top_of_their_table(page: Any) -> None:
    for name, title in (("Duplicates", "Identical files"), ("Rejected images", "Rejected images")):
        page.locator("#findings").get_by_role("link", name=name, exact=True).click()
        heading = part_of(page, title).get_by_role("heading").first
        assert 0 <= heading.bounding_box()["y"] < 300


def test_tables_fit_on_a_screen_of_1280_px_and_phones_show_a_picture(
    chromium: Any, suggested_path: Path
) -> None:
    for width in (1280, 360):
        context = chromium.new_context(viewport={"width": width, "height": 800})
        page = context.new_page()
        page.goto(suggested_path.as_uri())
        page.wait_for_selector("html[data-ready]")
        cut = """() => [...document.querySelectorAll(".scroll")].filter(
            (box) => box.scrollWidth > box.clientWidth).map((box) => box.ariaLabel)"""
        if width == 1280:
            # A class name without spaces is as wide as its heading.
            assert set(page.evaluate(cut)) <= {"Identical files", "Near-duplicates"}
        for picture in page.locator("td figure:first-child button.show:visible").all():
            box = picture.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        context.close()


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


@pytest.fixture(scope="module")
def suggested_path(data: Path) -> Path:
    """A page with suggested classes for ten images."""
    records = list(sm.open_dataset(data)["train"])[:10]
    candidates = tuple(
        LabelError(each.key, "train", each.class_name, LABELS[(each.label + 1) % 3], 0.1, 0.9, 0)
        for each in records
    )
    found = LabelErrors("vgg16", 5, 120, 0, 0.9, (0.8, 0.95), candidates, (), 1.0, ())
    path = data.with_name("suggested.html")
    sm.report(data, output=path, label_errors=found)
    return path


def test_suggested_classes_are_saved_as_corrections_of_each_image(
    chromium: Any, suggested_path: Path, data: Path, tmp_path: Path
) -> None:
    context = chromium.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(suggested_path.as_uri())
    table = part_of(page, "Labels that may be wrong")
    table.get_by_role("combobox", name=re.compile("^suggested class of")).select_option(label="cat")
    table.get_by_role("button", name="Select this page").click()
    chosen = table.locator("tbody tr").count()
    assert save_text(page)[1] == f"{chosen} of {chosen} selected images"
    # The suggestion is only the default: another class, or none, can be chosen for each image.
    lists = table.get_by_role("combobox", name=re.compile("^Correct class"))
    choose(lists.nth(0), "1")
    choose(lists.nth(1), "")
    assert save_text(page)[1] == f"{chosen - 1} of {chosen} selected images; 1 has no class"
    with page.expect_download() as download:
        page.locator("#save-classes").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == chosen - 1 > 1
    assert {row["class"] for row in rows} == {"cat", LABELS[1]}
    copied = shutil.copytree(data, tmp_path / "copied")
    assert sm.relabel(copied, path).relabelled == chosen - 1
    context.close()


@pytest.fixture(scope="module")
def overlaid_path(data: Path) -> Path:
    """A page with a table of which the first image has an overlay: its negative."""
    dataset = sm.open_dataset(data)
    images = ImageSet(dataset, read_index_rows(dataset))
    rows = [(images.add([row]), f"row {row}") for row in range(3)]
    images.add_overlay(0, "run-1", "places that support <b>", ImageOps.invert)
    columns = (Column("image", "images"), Column("name"))
    table = Table("Worst mistakes", columns, rows, overlays=["run-1", "run-1", ""])
    images.load_pictures()
    page = render_page("Page", [Section("one", "One", (table,))], images, dataset="data")
    path = data.with_name("overlaid.html")
    path.write_bytes(page.encode())
    return path


def test_overlays_are_toggled_with_the_button_and_the_keyboard(
    chromium: Any, overlaid_path: Path
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(overlaid_path.as_uri())
    pictures = page.locator("table img")
    before = pictures.evaluate_all("pictures => pictures.map((picture) => picture.src)")
    toggle = page.locator(".tools").get_by_role("button", name="Class activation maps")
    assert toggle.get_attribute("aria-pressed") == "false"
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "true"
    after = pictures.evaluate_all("pictures => pictures.map((picture) => picture.src)")
    assert [one == two for one, two in zip(before, after, strict=True)] == [False, True, True]
    alts = pictures.evaluate_all("pictures => pictures.map((picture) => picture.alt)")
    assert alts == ["places that support <b>", "", ""]
    page.get_by_role("button", name="places that support").click()
    viewer = page.get_by_role("dialog")
    assert viewer.locator("img").get_attribute("src") == after[0]
    page.keyboard.press("a")
    assert viewer.locator("img").get_attribute("src") == before[0]
    assert toggle.get_attribute("aria-pressed") == "false"
    in_viewer = viewer.get_by_role("button", name="Class activation maps")
    assert in_viewer.is_visible()
    assert "row 0" in viewer.locator("dl").inner_text()
    page.keyboard.press("ArrowRight")
    assert "row 1" in viewer.locator("dl").inner_text()
    assert not in_viewer.is_visible()
    page.keyboard.press("a")
    assert toggle.get_attribute("aria-pressed") == "false"
    page.keyboard.press("ArrowLeft")
    assert in_viewer.is_visible()
    context.close()


def test_printed_page_is_white_and_has_neither_controls_nor_cut_tables(
    chromium: Any, report_path: Path
) -> None:
    # The width of A4 paper without margins, at 96 dpi.
    context = chromium.new_context(
        viewport={"width": 680, "height": 1000}, color_scheme="dark", accept_downloads=True
    )
    page = context.new_page()
    page.goto(report_path.as_uri())
    page.wait_for_selector("html[data-ready]")
    page.locator("#theme").click()
    page.locator("#theme").click()
    part_of(page, "Identical files").get_by_role("checkbox").first.check()
    page.emulate_media(media="print", color_scheme="dark")
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".scroll")].filter((box) =>
            box.scrollWidth > 680).map((box) => box.ariaLabel)"""
    )
    assert cut == []
    controls = page.locator("nav, input, select, #selection, .tools button")
    assert not [each for each in controls.all() if each.is_visible()]
    rejected = part_of(page, "Rejected images")
    assert "40 files, page 1 of 2" in rejected.locator(".tools").inner_text()
    assert len(page.pdf(prefer_css_page_size=True)) > 20_000
    context.close()
