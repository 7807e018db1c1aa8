"""Figures of a dataset, and the keys that make duplicates and leaks go away."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from records.dataset import open_dataset
from records.errors import CorruptDataError
from records.format.index import Reject
from records.images import ImageOptions
from records.stats.charts import draw_stats
from records.stats.counts import MinMedianMax, Stats, read_index_rows, stats
from records.stats.duplicates import (
    DuplicateRecord,
    Duplicates,
    count_duplicates,
    duplicate_keys,
    find_groups,
    leak_keys,
)
from records.stats.text import format_stats
from records.storage import open_storage
from tests.datasets import DatasetBuilder, Source, encode_picture, make_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def stats_of(folder: Path) -> Stats:
    dataset = open_dataset(folder)
    return stats(dataset)


def test_stats_counts_classes_formats_rejects_and_sizes(tmp_path: Path) -> None:
    rejects = (
        Reject("a", None, "empty", "", 0),
        Reject("b", None, "corrupt", "", 1),
        Reject("c", None, "empty", "", 0),
    )
    sizes = [(8, 6), (9, 7), (10, 20)]
    pictures = [encode_picture(seed, size=size) for seed, size in enumerate(sizes)]
    sources = [Source(b"%d" % n, n // 2, data) for n, data in enumerate(pictures)]
    builder = DatasetBuilder(open_storage(tmp_path), rejects=rejects)
    builder.build({"train": [sources], "test": [make_sources(2, first=7)]})
    stats = stats_of(tmp_path)
    assert stats.records == 5
    assert stats.splits["train"].class_records == (2, 1, 0)
    assert stats.splits["train"].imbalance == 2
    assert stats.splits["test"].class_records == (0, 1, 1)
    assert stats.imbalance == 2
    assert stats.formats == {"png": 4, "jpeg": 1}
    assert stats.rejects == {"empty": 2, "corrupt": 1}
    assert stats.height_px == MinMedianMax(6, 7, 20)
    assert stats.width_px == MinMedianMax(8, 10, 11)
    folder_bytes = sum(path.stat().st_size for path in tmp_path.glob("*.tfrecord"))
    assert stats.bytes == folder_bytes


def test_stats_counts_changed_images(build_dataset: Callable[..., Path]) -> None:
    stats = stats_of(build_dataset(images=ImageOptions(store="png")))
    assert stats.formats == {"png": 17}
    assert sum(stats.changes.values()) == 8  # of 17 every second one is a JPEG


def test_stats_damaged_rejects_file_raises_corrupt_data(tmp_path: Path) -> None:
    rejects = (Reject("a.jpg", "cat", "empty", "", 0),)
    DatasetBuilder(open_storage(tmp_path), rejects=rejects).build({"train": [make_sources(2)]})
    (tmp_path / "rejects.jsonl").write_text("{")
    with pytest.raises(CorruptDataError, match="rejects"):
        stats_of(tmp_path)


def groups_of(folder: Path) -> list[list[DuplicateRecord]]:
    return find_groups(read_index_rows(open_dataset(folder)))


SAME, OTHER = encode_picture(1), encode_picture(2)
TRAIN = [
    Source(b"cat/b", 0, SAME),
    Source(b"cat/a", 0, SAME),
    Source(b"dog/a", 1, SAME),
    Source(b"cat/x", 0, OTHER),
    Source(b"cat/y", 0, OTHER),
    *make_sources(3, first=10),
]
TEST = [Source(b"cat/c", 0, SAME), *make_sources(2, first=20)]
VALIDATION = [Source(b"cat/d", 0, SAME), *make_sources(2, first=30)]


def build(folder: Path, left_out: list[str]) -> None:
    def keep(sources: list[Source]) -> list[list[Source]]:
        return [[source for source in sources if source.key.decode() not in left_out]]

    DatasetBuilder(open_storage(folder)).build(
        {"train": keep(TRAIN), "test": keep(TEST), "validation": keep(VALIDATION)}
    )


def test_count_duplicates_reports_groups_leaks_and_conflicts(tmp_path: Path) -> None:
    build(tmp_path, [])
    groups = groups_of(tmp_path)
    assert count_duplicates(groups) == Duplicates(
        groups=2, records=5, leak_groups=1, leak_records=4, conflict_groups=1
    )
    assert duplicate_keys(groups) == ["cat/a", "cat/b", "cat/d", "cat/y", "dog/a"]
    assert leak_keys(groups) == ["cat/a", "cat/b", "cat/d", "dog/a"]


def test_duplicate_keys_excluded_leave_no_duplicates(tmp_path: Path) -> None:
    build(tmp_path / "a", [])
    build(tmp_path / "b", duplicate_keys(groups_of(tmp_path / "a")))
    assert groups_of(tmp_path / "b") == []


def test_leak_keys_excluded_leave_no_leaks(tmp_path: Path) -> None:
    build(tmp_path / "a", [])
    build(tmp_path / "b", leak_keys(groups_of(tmp_path / "a")))
    groups = groups_of(tmp_path / "b")
    assert leak_keys(groups) == []
    assert len(groups) == 1  # copies within train are no leak


def test_show_stats_prints_class_table_and_duplicates(tmp_path: Path) -> None:
    build(tmp_path, [])
    lines = format_stats(stats_of(tmp_path), "data")
    assert lines[0].startswith("data: 14 images in 3 classes, ")
    assert lines[2].split() == ["label", "class", "train", "test", "validation", "total"]
    assert lines[3].split() == ["0", "cat", "5", "2", "2", "9"]
    assert "5 images identical to another" in lines[-3]
    assert "1 file in more than one split" in lines[-2]
    assert "1 file with more than one label" in lines[-1]


def test_show_stats_many_classes_shows_largest_and_smallest(tmp_path: Path) -> None:
    labels = tuple(f"class {number}" for number in range(60))
    sources = [
        dataclasses.replace(source, label=number % 60)
        for number, source in enumerate(make_sources(90))
    ]
    DatasetBuilder(open_storage(tmp_path), labels=labels).build({"train": [sources]})
    lines = format_stats(stats_of(tmp_path), "data")
    assert sum("  class " in line for line in lines[3:]) == 30
    assert any("… 30 classes between these" in line for line in lines)


@pytest.mark.parametrize("classes", [1, 3, 51, 200])
def test_draw_stats_any_class_name_gives_deterministic_png(tmp_path: Path, classes: int) -> None:
    odd = ("$x_{ b$", "élan", "中文", "a\\b", "عربى", "x" * 300)
    labels = tuple(f"{odd[number % 6]}{number}" for number in range(classes))
    sources = [dataclasses.replace(source, label=0) for source in make_sources(3)]
    DatasetBuilder(open_storage(tmp_path), labels=labels).build({"train": [sources]})
    rows = read_index_rows(open_dataset(tmp_path))
    picture = draw_stats(stats_of(tmp_path), rows)
    assert picture.startswith(b"\x89PNG")
    assert draw_stats(stats_of(tmp_path), rows) == picture
