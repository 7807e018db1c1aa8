"""Contact sheets: a fair sample, the same every time, of any file that holds images."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from records.dataset import open_dataset
from records.errors import InputNotFoundError
from records.format.example import encode_example
from records.format.tfrecord import frame_bytes
from records.images import ImageOptions
from records.pictures.canvas import GAP_PX, MARGIN_PX, fit_end, fit_text, new_sheet
from records.pictures.contact_sheet import draw_dataset, draw_file
from records.pictures.fonts import drawable, find_font, open_font
from records.pictures.thumbnails import TILE_PX, sample_dataset, sample_file
from records.storage import open_storage
from records.text.formatting import align, format_bytes
from tests.datasets import LABELS, DatasetBuilder, Source, encode_picture, make_sources
from tests.processor_time import processor_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from records.format.example import FeatureValue


def size_of(picture: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture)) as image:
        return image.size


def test_contact_sheet_draws_one_row_per_class_deterministically(
    build_dataset: Callable[..., Path],
) -> None:
    dataset = open_dataset(build_dataset())
    picture = draw_dataset(dataset)
    assert draw_dataset(dataset) == picture
    width, height = size_of(picture)
    assert width > 4 * TILE_PX  # four of the twelve train images are in each class
    assert 3 * TILE_PX < height < 5 * TILE_PX


def test_sample_dataset_takes_images_of_every_class(build_dataset: Callable[..., Path]) -> None:
    samples = sample_dataset(open_dataset(build_dataset()), images=3, classes=9)
    assert [(sample.name, sample.records) for sample in samples] == [(name, 4) for name in LABELS]
    assert [len(sample.images) for sample in samples] == [3, 3, 3]
    assert all(max(image.size) <= TILE_PX for sample in samples for image in sample.images)


@pytest.mark.parametrize("classes", [1, 13, 150])
def test_contact_sheet_any_number_of_classes_stays_within_size_limit(
    tmp_path: Path, classes: int
) -> None:
    labels = tuple(f"class {number}" for number in range(classes))
    sources = [
        dataclasses.replace(source, label=number % classes)
        for number, source in enumerate(make_sources(max(classes, 20)))
    ]
    DatasetBuilder(open_storage(tmp_path), labels=labels).build({"train": [sources]})
    width, height = size_of(draw_dataset(open_dataset(tmp_path)))
    assert width < 2000
    assert height < 2500


def test_sample_dataset_few_of_many_classes_are_evenly_spaced(tmp_path: Path) -> None:
    labels = tuple(map(str, range(20)))
    sources = [dataclasses.replace(s, label=n) for n, s in enumerate(make_sources(20))]
    DatasetBuilder(open_storage(tmp_path), labels=labels).build({"train": [sources]})
    samples = sample_dataset(open_dataset(tmp_path), images=1, classes=5)
    assert [sample.name for sample in samples] == ["0", "4", "8", "12", "16"]


@pytest.mark.parametrize("store", ["raw", "png"])
def test_contact_sheet_grey_raw_and_png_images_are_drawn(
    build_dataset: Callable[..., Path], store: str
) -> None:
    images = ImageOptions(store=store, resize=(9, 5), channels=1)  # type: ignore[arg-type]
    folder = build_dataset(images=images)
    assert size_of(draw_dataset(open_dataset(folder)))
    assert size_of(draw_file(open_storage(folder), "test-00000-of-00001.tfrecord"))


def test_sample_file_small_image_is_enlarged_by_whole_factor(tmp_path: Path) -> None:
    dots = np.zeros((2, 3, 3), np.uint8)
    dots[0, 0] = 255
    content = io.BytesIO()
    Image.fromarray(dots).save(content, "PNG")
    path = tmp_path / "a.tfrecord"
    path.write_bytes(frame_bytes(encode_example({"image": [content.getvalue()]})))
    (sample,) = sample_file(open_storage(tmp_path), "a.tfrecord", images=1, classes=1)
    times = TILE_PX // 3
    assert sample.images[0].size == (3 * times, 2 * times)
    assert set(np.unique(np.asarray(sample.images[0]))) == {0, 255}


def test_sample_file_third_party_file_groups_images_by_label(tmp_path: Path) -> None:
    examples: list[dict[str, FeatureValue]] = [
        {"image_raw": [encode_picture(number, kind="JPEG")], "label": [number % 2]}
        for number in range(6)
    ]
    content = b"".join(frame_bytes(encode_example(example)) for example in examples)
    (tmp_path / "a.tfrecord").write_bytes(content)
    samples = sample_file(open_storage(tmp_path), "a.tfrecord", images=2, classes=9)
    assert [(sample.name, len(sample.images)) for sample in samples] == [("0", 2), ("1", 2)]
    assert size_of(draw_file(open_storage(tmp_path), "a.tfrecord"))


def test_contact_sheet_file_without_images_raises_input_not_found(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(frame_bytes(encode_example({"a": [b"\xff\xd8\xff"]})))
    with pytest.raises(InputNotFoundError, match="contains a decodable image"):
        draw_file(open_storage(tmp_path), "a.tfrecord")


def test_find_font_any_script_is_drawable_or_escaped() -> None:
    font = find_font(["cat", "élan", "Ω"])
    assert font.endswith("DejaVuSans.ttf")
    assert drawable("élan Ω", font) == "élan Ω"
    assert drawable("a\u202eb", font) == r"a\u202eb"
    assert drawable("\U00013000", font) == r"\U00013000"  # a hieroglyph, which DejaVu lacks


def test_text_formatting_aligns_wide_characters_and_scales_bytes() -> None:
    assert align([("a", "1"), ("中文", "20")], right="<>") == ["a      1", "中文  20"]
    shown = [format_bytes(size) for size in (0, 937, 999.6, 4_630_000, 66_326_814, 5e15)]
    assert shown == ["0 B", "937 B", "1 kB", "4.63 MB", "66.3 MB", "5 PB"]


@pytest.mark.parametrize("char", ["a", "i", "中", "\u0301", "\x07", "\u200b"])
def test_fit_text_of_any_length_takes_linear_time_and_fits(char: str) -> None:
    name = char * 1_000_000
    font = find_font([name])
    small = open_font(font, 13)

    def draw() -> None:
        for cut in (fit_text, fit_end):
            assert small.getlength(cut(drawable(name, font), small, TILE_PX)) <= TILE_PX
            assert small.getlength(cut(name, small, TILE_PX)) <= TILE_PX or char == "\u0301"

    assert processor_seconds(draw) < 5


def test_fit_text_keeps_as_much_as_fits() -> None:
    font = open_font(find_font(["m"]), 13)
    cut = fit_text("m" * 50, font, TILE_PX)
    assert font.getlength(cut) <= TILE_PX < font.getlength("m" + cut)
    assert fit_text("short", font, TILE_PX) == "short"
    assert fit_text("wide", font, 1) == "…"


def test_drawable_of_every_character_takes_bounded_time() -> None:
    name = "".join(map(chr, range(0x4E00, 0xD7A4)))
    assert processor_seconds(lambda: drawable(name, find_font([name] * 50))) < 10


def test_align_one_long_cell_does_not_widen_every_line() -> None:
    rows = [("n" * 100_000, "1", "last" * 100_000), *[("a", "2", "b")] * 100]
    lines = align(rows)
    assert sum(map(len, lines[1:])) < 200 * 100
    assert lines[1] == f"{'a':120}  2  b"


@pytest.mark.parametrize("records", [9, 1200])
def test_contact_sheet_count_wider_than_the_class_name_and_title_are_complete(
    tmp_path: Path, records: int
) -> None:
    data = encode_picture(3, size=(1, 1))
    sources = [Source(f"{number}.png".encode(), number % 2, data) for number in range(2 * records)]
    DatasetBuilder(open_storage(tmp_path), ("i", "l")).build({"train": [sources]})
    sheet = np.asarray(Image.open(io.BytesIO(draw_dataset(open_dataset(tmp_path)))).convert("L"))
    drawn = (sheet < 255).sum(axis=0)
    left = int(np.argmax(drawn > TILE_PX))  # two rows of tiles
    # The gap between names and tiles is white: no digit reaches the tiles, or is below one.
    assert (sheet[MARGIN_PX * 3 :, left - GAP_PX : left] == 255).all()
    assert (sheet[:, -MARGIN_PX:] == 255).all()


@pytest.mark.parametrize("words", [1, 4, 12])
def test_new_sheet_title_is_complete_up_to_a_limit(words: int) -> None:
    title = "training images " * words
    font = find_font([title])
    needed = open_font(font, 20).getlength(title) + 2 * MARGIN_PX
    width = new_sheet(1, 1, title, font).width
    assert width >= min(needed, 1200)
    assert width <= 1200 + 2 * MARGIN_PX
