"""`quality` flags altered images for the right reason, and leaves the others alone."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

import shardmill as sm
from records import verify
from records.cli.quality import ISSUES
from records.dataset import open_dataset
from records.errors import UsageError
from records.quality import measurement
from records.quality.pixels import SIDE_PX, reduce_image, score_pixels
from records.quality.rules import (
    DUPLICATE,
    NEAR_DUPLICATE,
    RULES,
    Rule,
    apply_rule,
    size_measurements,
)
from records.quality.sheet import draw_quality
from tests.command_line import Run
from tests.pipelines.pictures import make_file

SIZE = (192, 160)
Alter = Callable[[Image.Image], Image.Image]


def picture(seed: int) -> Image.Image:
    """Return a picture with coarse and fine structures, as photos have them."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).resize(
                SIZE, Image.Resampling.BICUBIC
            ),
            np.float32,
        )
        for side in (6, 24, 150)
    ]
    return Image.fromarray(np.mean(layers, axis=0).astype(np.uint8))


def enlarge(image: Image.Image) -> Image.Image:
    small = image.resize((image.width // 4, image.height // 4), Image.Resampling.LANCZOS)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def frame(image: Image.Image) -> Image.Image:
    framed = Image.new("RGB", image.size, "black")
    framed.paste(image.crop((0, 0, image.width, image.height - 40)), (0, 20))
    return framed


ALTERED: dict[str, Alter] = {
    "dark": lambda image: image.point(lambda value: value // 5),
    "bright": lambda image: image.point(lambda value: 255 - (255 - value) // 4),
    "low-contrast": lambda image: image.point(lambda value: 110 + value // 12),
    "blurry": lambda image: image.filter(ImageFilter.GaussianBlur(6)),
    "enlarged": enlarge,
    "grey": lambda image: image.convert("L"),
    "border": frame,
    "odd-size": lambda image: image.resize((48, 40), Image.Resampling.BOX),
    "odd-aspect-ratio": lambda image: image.crop((0, 0, 192, 45)),
}
ALSO = {
    ("dark", "low-contrast"),
    ("bright", "low-contrast"),
    ("blurry", "enlarged"),
    ("enlarged", "blurry"),
    ("odd-aspect-ratio", "odd-size"),
}
"""Issues that an alteration may have in addition to its own."""


def encode(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **({"quality": 90} if kind == "JPEG" else {}))
    return content.getvalue()


def without_rows(png: bytes) -> bytes:
    """Return a PNG whose compressed data ends before the last row, with a correct checksum."""
    start = png.index(b"IDAT")
    rows = zlib.compress(b"\x00" * 100)
    chunk = b"IDAT" + rows
    end = png.index(b"IEND") - 4
    size, checksum = struct.pack(">I", len(rows)), struct.pack(">I", zlib.crc32(chunk))
    return png[: start - 4] + size + chunk + checksum + png[end:]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 30 pictures, and of each alteration as JPEG and as PNG."""
    folder = tmp_path_factory.mktemp("quality")
    source = folder / "photos"
    for seed in range(30):
        make_file(source, f"{'ab'[seed % 2]}/{seed}.jpg", encode(picture(seed), "JPEG"))
    for number, (name, alter) in enumerate(ALTERED.items()):
        for kind in ("JPEG", "PNG"):
            altered = encode(alter(picture(100 + number)), kind)
            make_file(source, f"a/{name}.{kind.lower()}", altered)
    sm.convert(source, folder / "data", test=0.2)
    return folder / "data"


def test_quality_flags_each_alteration_and_no_other_picture(dataset: Path) -> None:
    found = {(each.key, each.issue) for each in sm.quality(dataset).findings}
    expected = {(f"a/{name}.{kind}", name) for name in ALTERED for kind in ("jpeg", "png")}
    assert expected - found == set()
    others = {(Path(key).stem, issue) for key, issue in found - expected}
    assert others - ALSO == set()


def test_quality_command_prints_issues_keys_and_json(
    dataset: Path, tmp_path: Path, run: Run
) -> None:
    ended = run("quality", dataset, "--issue", "dark", "--issue", "border", "--keys")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.split() == ["a/border.jpeg", "a/border.png", "a/dark.jpeg", "a/dark.png"]
    text = run("quality", dataset, "--grid", tmp_path / "grid.png")
    assert re.search(r"^dark +2\b", text.out, re.MULTILINE)
    with Image.open(tmp_path / "grid.png") as image:
        assert image.height > len(ALTERED) * 144
    found: Any = json.loads(run("quality", dataset, "--json").out)
    assert found["issues"]["dark"]["images"] == 2
    assert {each["split"] for each in found["findings"]} <= {"train", "test"}


def test_quality_grid_without_findings_is_a_note(dataset: Path, tmp_path: Path, run: Run) -> None:
    keys = make_file(tmp_path, "keys.txt", "\n".join(sm.quality(dataset).keys()).encode())
    sm.convert(dataset.parent / "photos", tmp_path / "clean", exclude=keys)
    ended = run("quality", tmp_path / "clean", "--grid", tmp_path / "grid.png")
    assert (ended.code, ended.err.count("\n")) == (0, 1)
    assert "because no image has an issue" in ended.err
    assert not (tmp_path / "grid.png").exists()


def test_quality_second_call_decodes_nothing_and_dataset_verifies(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sm.quality(dataset)

    def fail(*_arguments: object, **_options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(measurement, "decode_reduced", fail)
    assert sm.quality(dataset) == first
    assert list(verify(dataset)) == []


def test_quality_undecodable_image_is_counted_and_has_no_pixel_issue(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    for seed in range(4):
        make_file(source, f"a/{seed}.jpg", encode(picture(seed), "JPEG"))
    make_file(source, "b/0.png", without_rows(encode(picture(9), "PNG")))
    sm.convert(source, tmp_path / "data", check="header")
    found = sm.quality(tmp_path / "data")
    assert (found.images, found.undecodable) == (5, 1)
    assert [each for each in found.findings if each.key == "b/0.png"] == []
    assert "1 cannot be decoded" in repr(found)


def test_draw_quality_leaves_out_images_that_cannot_be_decoded(tmp_path: Path) -> None:
    source, odd = tmp_path / "photos", ALTERED["odd-size"]
    for seed in range(6):
        make_file(source, f"a/{seed}.jpg", encode(picture(seed), "JPEG"))
    make_file(source, "b/0.png", without_rows(encode(odd(picture(9)), "PNG")))
    sm.convert(source, tmp_path / "data", check="header")
    found = sm.quality(tmp_path / "data").only(["odd-size"])
    assert found.keys() == ["b/0.png"]
    assert draw_quality(open_dataset(tmp_path / "data"), found) is None
    make_file(source, "b/1.png", encode(odd(picture(10)), "PNG"))
    sm.append(source, tmp_path / "data", check="header")
    found = sm.quality(tmp_path / "data").only(["odd-size"])
    assert found.keys() == ["b/0.png", "b/1.png"]
    picture_of_one = draw_quality(open_dataset(tmp_path / "data"), found)
    assert picture_of_one is not None
    assert picture_of_one.startswith(b"\x89PNG")


def test_quality_only_unknown_issue_is_an_error(dataset: Path) -> None:
    found = sm.quality(dataset)
    assert set(found.only(["dark"]).issues) == {"dark"}
    with pytest.raises(UsageError, match=r"unknown issue, expected dark, .*, got blury"):
        found.only(["dark", "blury"])


def test_quality_rules_and_options_have_the_same_names() -> None:
    rules = tuple(rule.issue for rule in RULES)
    assert rules == tuple(ALTERED)
    assert (*rules, DUPLICATE, NEAR_DUPLICATE) == ISSUES


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (15, 20), (700, 3), (3000, 40)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_score_pixels_any_size_gives_finite_numbers_or_nan(
    size: tuple[int, int], mode: str
) -> None:
    random = np.random.default_rng(0)
    for fill in (0, 255, None):
        shape = (size[1], size[0], len(mode)) if mode == "RGB" else size[::-1]
        pixels = random.integers(0, 256, shape) if fill is None else np.full(shape, fill)
        image = reduce_image(Image.fromarray(pixels.astype(np.uint8)))
        assert max(image.size) <= SIDE_PX
        scores = score_pixels(image)
        assert all(np.isnan(value) or 0 <= value <= 255 for value in scores)


class TestRules:
    below = Rule("dark", "dark", "below", 80, "")

    def test_images_beyond_the_limit_are_listed_the_worst_first(self) -> None:
        values = np.array([200, 70, 210, np.nan, 20, 190, 79, 81, 220], np.float32)
        limit, rows = apply_rule(self.below, values)
        assert (limit, rows.tolist()) == (80, [4, 1, 6])

    def test_limit_that_most_images_exceed_is_replaced_by_the_fence(self) -> None:
        values = np.array([*np.linspace(40, 60, 50), 1.0], np.float32)
        limit, rows = apply_rule(self.below, values)
        assert limit < 40
        assert rows.tolist() == [50]
        opposite = Rule("bright", "bright", "above", 180, "")
        limit, rows = apply_rule(opposite, 255 - values)
        assert rows.tolist() == [50]

    def test_without_values_nothing_is_found(self) -> None:
        for values in (np.empty(0, np.float32), np.full(3, np.nan, np.float32)):
            assert apply_rule(self.below, values).rows.tolist() == []

    def test_portraits_and_landscapes_of_one_shape_are_not_odd(self) -> None:
        measured = size_measurements(np.array([300, 200, 300, 30]), np.array([200, 300, 200, 300]))
        assert measured["aspect"].tolist()[:3] == [0, 0, 0]
        assert measured["aspect"][3] > 1
        assert size_measurements(np.empty(0, np.int64), np.empty(0, np.int64))["size"].size == 0


def test_quality_row_number_leads_to_the_image(dataset: Path) -> None:
    from records.stats import read_record

    opened = open_dataset(dataset)
    for found in sm.quality(opened).findings:
        assert read_record(opened, found.split, found.row).key == found.key
