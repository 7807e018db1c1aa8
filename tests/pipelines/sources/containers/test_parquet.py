"""Images and labels in Parquet files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.dataset import open_dataset
from records.errors import CorruptDataError, UsageError
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import PICTURE, make_picture
from tests.pipelines.sources.containers.forms import parquet_bytes

PICTURES = [make_picture(number, kind=("PNG", "JPEG")[number % 2]) for number in range(150)]


def listed(path: Path, content: bytes, **options: Any) -> Sources:
    path.write_bytes(content)
    return list_sources(ConvertOptions(source=str(path), output="", **options))


def labels_of(sources: Sources) -> dict[str, str]:
    return {image.key.decode(): sources.labels[image.label] for image in sources.images}


def table_bytes(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize("path", [None, "/elsewhere/x.png", "../x.png", "https://a//b.png", ""])
def test_parquet_row_without_path_in_a_folder_has_file_and_number_as_key(
    tmp_path: Path, path: str | None
) -> None:
    rows = [(path, picture, number % 2) for number, picture in enumerate(PICTURES[:3])]
    found = listed(tmp_path / "train.parquet", parquet_bytes(rows, ["cat", "dog"]))
    keys = ["train/00000000.png", "train/00000001.jpg", "train/00000002.png"]
    assert labels_of(found) == dict(zip(keys, ["cat", "dog", "cat"], strict=True))


def test_parquet_rows_with_the_same_path_are_numbered(tmp_path: Path) -> None:
    rows = [("image.png", picture, 0) for picture in PICTURES[:2]]
    found = listed(tmp_path / "a.parquet", parquet_bytes(rows, ["cat"]))
    assert sorted(labels_of(found)) == ["a/00000000.png", "a/00000001.png"]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "none", "use_dictionary": False},
        {"compression": "snappy", "row_group_size": 7},
        {"compression": "zstd", "data_page_size": 1000},
        {"compression": "gzip", "data_page_version": "2.0"},
        {"compression": "lz4", "use_dictionary": True},
    ],
    ids=["plain", "row-groups", "pages", "version-2", "dictionary"],
)
def test_parquet_of_any_structure_gives_its_images(
    convert: Convert, tmp_path: Path, options: dict[str, Any]
) -> None:
    rows = [(f"{number}.x", picture, number % 3) for number, picture in enumerate(PICTURES)]
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet_bytes(rows, ["cat", "dog", "emu"], **options))
    convert(source=str(path), shards=2)
    stored = {it.key: (it.image, it.label) for it in open_dataset(tmp_path / "data")["train"]}
    assert stored == {f"{n}.x": (picture, n % 3) for n, picture in enumerate(PICTURES)}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("is_struct", [True, False])
def test_parquet_images_between_nulls_and_empty_values_are_stored(
    convert: Convert, tmp_path: Path, kind: pa.DataType, is_struct: bool
) -> None:
    values = [(PICTURES[n % 3], None, b"")[n % 3] for n in range(150)]
    image = pa.array(values, kind)
    if is_struct:
        missing = pa.array([n % 6 == 1 for n in range(150)])
        image = pa.StructArray.from_arrays([image], ["bytes"], mask=missing)
    path = tmp_path / "a.parquet"
    path.write_bytes(table_bytes(image=image, label=["cat"] * 150))
    report = convert(source=str(path), max_rejects=150)
    assert (report.counts.stored, report.counts.rejected) == (50, 100)
    stored = {it.key: it.image for it in open_dataset(tmp_path / "data")["train"]}
    assert stored == {f"a/{n:08}.png": PICTURES[0] for n in range(0, 150, 3)}


def test_parquet_null_image_is_a_reject_and_null_label_too(tmp_path: Path) -> None:
    rows = [
        ("a.png", None, 0),
        ("b.png", PICTURE, None),
        ("c.png", PICTURE, -1),
        ("d.png", PICTURE, 0),
    ]
    found = listed(tmp_path / "a.parquet", parquet_bytes(rows, ["cat"]))
    assert labels_of(found) == {"d.png": "cat"}
    reasons = {reject.key: reject.reason for reject in found.rejects}
    assert reasons == {"a.png": "unreadable", "b.png": "no-class", "c.png": "no-class"}


def test_parquet_without_metadata_has_labels_of_text_or_numbers(tmp_path: Path) -> None:
    for labels, expected in ((["x", "y"], {"x", "y"}), ([3, 10], {"3", "10"})):
        found = listed(tmp_path / "a.parquet", table_bytes(image=PICTURES[:2], label=labels))
        assert set(labels_of(found).values()) == expected


def test_parquet_without_label_has_classes_of_its_paths(tmp_path: Path) -> None:
    image = [{"bytes": PICTURE, "path": f"{name}/1.png"} for name in ("cat", "dog")]
    found = listed(tmp_path / "a.parquet", table_bytes(image=image))
    assert labels_of(found) == {"cat/1.png": "cat", "dog/1.png": "dog"}


def test_parquet_label_column_is_chosen_by_option(tmp_path: Path) -> None:
    columns = {"img": PICTURES[:2], "fine": ["a", "b"], "coarse": ["c", "c"]}
    path = tmp_path / "a.parquet"
    found = listed(path, table_bytes(**columns), label_column="coarse")
    assert set(labels_of(found).values()) == {"c"}
    with pytest.raises(UsageError, match=r"not a column of the Parquet file.*img, fine, coarse"):
        listed(path, table_bytes(**columns), label_column="x")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"path": ["a.png"], "label": ["cat"]}, "no column of the Parquet file has images"),
        ({"img": [PICTURE], "png": [PICTURE], "label": ["cat"]}, "several columns .* the image"),
        (
            {"image": [PICTURE], "class": ["cat"], "target": ["cat"]},
            "several columns .* the label.*--label-column class",
        ),
    ],
)
def test_parquet_ambiguous_columns_are_one_error(
    tmp_path: Path, columns: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        listed(tmp_path / "a.parquet", table_bytes(**columns))


@pytest.mark.parametrize("folder", ["", "train/", "default/train/"])
def test_parquet_files_of_splits_are_splits(tmp_path: Path, folder: str) -> None:
    for split in ("train", "validation"):
        name = folder.replace("train", split) or f"{split}-"
        path = tmp_path / "data" / f"{name}00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet_bytes([(None, PICTURE, 0)], ["cat"]))
    found = list_sources(ConvertOptions(source=str(tmp_path / "data"), output=""))
    assert {image.split for image in found.images} == {"train", "validation"}


@pytest.mark.parametrize(
    ("size_bytes", "rows"),
    [pytest.param(900_000, 20_000, marks=pytest.mark.slow), (3_000_000, 9)],
)
def test_parquet_bomb_is_one_error(tmp_path: Path, size_bytes: int, rows: int) -> None:
    """A dictionary with one large image for many rows, and pages of zeros."""
    image = pa.array([bytes(size_bytes)]).take(pa.array([0] * 9))
    sink = io.BytesIO()
    is_dictionary = rows > 9
    with pq.ParquetWriter(
        sink, pa.schema({"image": pa.binary()}), compression="zstd", use_dictionary=is_dictionary
    ) as writer:
        for _ in range(rows // 9):
            writer.write_table(pa.table({"image": image}), row_group_size=rows)
    with pytest.raises(CorruptDataError, match="expands more than 1000-fold"):
        listed(tmp_path / "a.parquet", sink.getvalue())


@pytest.mark.parametrize("cut", [4, 40, 4000])
def test_parquet_cut_short_is_one_error(tmp_path: Path, cut: int) -> None:
    content = parquet_bytes([(None, picture, 0) for picture in PICTURES], ["cat"])
    with pytest.raises(CorruptDataError, match="damaged"):
        listed(tmp_path / "a.parquet", content[:-cut])


def test_parquet_list_next_to_images_is_no_container(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "one").write_bytes(PICTURE)
    rows = {"file_name": ["one"], "label": ["cat"]}
    (folder / "metadata.parquet").write_bytes(table_bytes(**rows))
    found = list_sources(ConvertOptions(source=str(folder), output=""))
    assert labels_of(found) == {"one": "cat"}


@pytest.mark.parametrize("name", ["label", "Target"])
@pytest.mark.parametrize("values", [[0.5, 2.0], [[0.5], [1.0, 2.0]]])
def test_parquet_numbers_with_fractions_in_a_column_of_labels_are_noted(
    tmp_path: Path, name: str, values: list[Any]
) -> None:
    image = [{"bytes": PICTURE, "path": f"{name}/1.png"} for name in ("cat", "dog")]
    content = table_bytes(image=image, **{name: values})
    (tmp_path / "b.parquet").write_bytes(table_bytes(image=image, **{name: values}))
    found = listed(tmp_path / "a.parquet", content)
    assert labels_of(found) == {"cat/1.png": "cat", "dog/1.png": "dog"}
    (note,) = found.notes
    assert note.startswith(f"the column {name} is not used: its numbers have fractions")
    assert ("--target-column" in note) == isinstance(values[0], float)  # it takes no lists
    (tmp_path / "a.parquet").write_bytes(content)
    both = list_sources(ConvertOptions(source=str(tmp_path / "*.parquet"), output=""))
    assert both.notes == found.notes
    labelled = table_bytes(image=image, cls=["x", "y"], **{name: values})
    assert listed(tmp_path / "a.parquet", labelled).notes == []
    if isinstance(values[0], float):
        assert listed(tmp_path / "a.parquet", content, target_column=name).notes == []


def test_parquet_column_of_another_name_with_fractions_is_not_noted(tmp_path: Path) -> None:
    image = [{"bytes": PICTURE, "path": f"{name}/1.png"} for name in ("cat", "dog")]
    content = table_bytes(image=image, score=[0.5, 1.5])
    assert listed(tmp_path / "a.parquet", content).notes == []
