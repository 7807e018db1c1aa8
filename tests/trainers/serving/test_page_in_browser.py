"""Page of a server in Chromium."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from records.storage import open_storage
from tests.datasets import DatasetBuilder, Source
from tests.trainers.conftest import draw_shape, encode, make_source
from tests.trainers.serving.in_thread import Served, serving
from trainers.options import TrainOptions
from trainers.serving.limits import Limits
from trainers.training.planning import plan_training
from trainers.training.train import train

pytestmark = pytest.mark.slow
LABELS = ("<img src=x onerror=document.title='attacked'>", "\u05d0\u05d1 \u202egnp", "x" * 300)
_CHROMIUM = "/usr/bin/chromium"
_DROP = """async ([name, type, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type }));
    const target = document.getElementById("drop");
    const options = { dataTransfer: data, bubbles: true, cancelable: true };
    for (const kind of ["dragenter", "dragover", "drop"])
        target.dispatchEvent(new DragEvent(kind, options));
}"""


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
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield a server of a run whose classes have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    sources = [make_source(number) for number in range(36)]
    named = [Source(b"%d" % at, each.label, each.data) for at, each in enumerate(sources)]
    DatasetBuilder(open_storage(folder / "data"), LABELS).build({"train": [named]})
    options = TrainOptions(epochs=1, batch_size=8, image_size=(24, 32))
    train(plan_training(folder / "data", folder / "run", options))
    with serving(folder / "run", "flowers", Limits(max_upload_mb=0.1)) as server:
        yield server


@pytest.fixture
def page(chromium: Any, hostile: Served) -> Iterator[Any]:
    context = chromium.new_context()
    page = context.new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("console", lambda message: seen.append(f"console: {message.text}"))
    page.goto(hostile.client.url)
    page.wait_for_selector("#facts:not(:empty)")
    yield page
    allowed = (hostile.client.url, "blob:")
    expected = "console: Failed to load resource: the server responded with a status of 422"
    assert [it for it in seen if not it.startswith((*allowed, expected))] == []
    assert page.title() == "flowers"
    context.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "<b>shape.png"
    path.write_bytes(encode(draw_shape(7), "PNG"))
    return path


def test_page_chosen_file_shows_all_classes_with_bars(
    page: Any, picture: Path, hostile: Served
) -> None:
    expected = hostile.client.predict(picture.read_bytes(), "?top_k=3").json["predictions"][0]
    page.get_by_label("Drop pictures here").set_input_files(picture)
    page.wait_for_selector("article li")
    assert page.locator("h2").inner_text().startswith("<b>shape.png")
    names = page.locator("li .name").all_text_contents()
    assert names == [each["class"] for each in expected["classes"]]
    assert set(names) == set(LABELS)
    widths = [
        float(bar.evaluate("bar => bar.style.width.slice(0, -1)"))
        for bar in page.locator("li .bar").all()
    ]
    assert widths == pytest.approx([100 * each["score"] for each in expected["classes"]], abs=0.01)
    assert page.locator("li.chosen").count() == 1
    assert page.locator("article img").evaluate("it => it.decode().then(() => it.naturalWidth)")
    assert page.locator("#results img[onerror], #results b").count() == 0


def test_page_dropped_files_show_the_newest_first(page: Any, picture: Path) -> None:
    content = base64.b64encode(picture.read_bytes()).decode()
    for name in ("one.png", "two.png"):
        page.evaluate(_DROP, [name, "image/png", content])
    page.locator("article li").nth(5).wait_for()
    page.wait_for_selector("#status:empty", state="attached")
    assert [text[:3] for text in page.locator("h2").all_text_contents()] == ["two", "one"]
    assert page.locator("#drop.over").count() == 0
    assert page.locator("#status").inner_text() == ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no image", "no prediction for 1 image: corrupt: "),
        (bytes(200_000), "The file is too large: at most 0.1 MB."),
    ],
)
def test_page_refused_file_shows_the_reason(
    page: Any, tmp_path: Path, content: bytes, text: str
) -> None:
    (tmp_path / "notes.png").write_bytes(content)
    page.get_by_label("Drop pictures here").set_input_files(tmp_path / "notes.png")
    assert page.locator(".error").inner_text().startswith(text)


def test_page_is_used_with_the_keyboard(page: Any, picture: Path) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(picture)
    page.wait_for_selector("article li")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1400])
def test_page_has_no_horizontal_scroll_and_readable_colours(
    chromium: Any, hostile: Served, picture: Path, scheme: str, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(hostile.client.url)
    page.get_by_label("Drop pictures here").set_input_files(picture)
    page.wait_for_selector("article li")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(22, 25, 29)" if scheme == "dark" else "rgb(255, 255, 255)")
    context.close()


def test_page_policy_forbids_other_origins_and_inline_scripts(hostile: Served) -> None:
    headers = hostile.client.get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
