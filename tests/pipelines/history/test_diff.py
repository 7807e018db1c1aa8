"""Differences of generations, and of datasets with several labels per image."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from pipelines.rollback import rollback
from records import open_dataset
from records.history import diff
from tests.pipelines.history.grown import Grown
from tests.pipelines.pictures import make_picture


def test_diff_of_each_pair_of_generations_matches_the_model(grown: Grown) -> None:
    grown.keys[rollback(grown.location, to=2).generation] = grown.keys[2]
    for one, other in product(grown.keys, repeat=2):
        found = diff(grown.at(one), grown.at(other))
        rows = found.changes.to_pylist()
        before, after = grown.keys[one], grown.keys[other]
        assert {row["key"] for row in rows if row["added"]} == after - before
        assert {row["key"] for row in rows if row["removed"]} == before - after
        assert len(rows) == len(before ^ after)
        assert (found.summary.records_a, found.summary.records_b) == (len(before), len(after))


def test_diff_of_multi_label_datasets_compares_all_labels(tmp_path: Path) -> None:

    for name, rows in (
        ("a", "0.png,x;y\n1.png,x\n2.png,\n"),
        ("b", "0.png,y;x\n1.png,x;y\n2.png,x\n"),
    ):
        folder = tmp_path / f"photos-{name}"
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.png").write_bytes(make_picture(number))
        (tmp_path / f"{name}.csv").write_text(f"path,label\n{rows}")
        convert(
            ConvertOptions(
                source=str(folder), output=str(tmp_path / name), label_separator=";",
                list=str(tmp_path / f"{name}.csv"),
            )
        )  # fmt: skip
    found = diff(tmp_path / "a", tmp_path / "b")
    assert {
        record.key: (record.classes_a, record.classes_b)
        for record in found.summary.first["relabelled"]
    } == {"1.png": (("x",), ("x", "y")), "2.png": ((), ("x",))}
    assert found.summary.changes["relabelled"] == 2
    assert "x, y" in repr(found)


def test_diff_of_multi_label_datasets_ignores_the_order_of_the_classes(tmp_path: Path) -> None:
    rows = ["0.png,a;c", "1.png,c", "2.png,b;c", "3.png,", "4.png,c;b;a", "5.png,b"]
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(len(rows)):
        (folder / f"{number}.png").write_bytes(make_picture(number))
    # The class b gets its number last in the one dataset, and second in the other.
    for name, parts in (("grown", [rows[:2], rows]), ("new", [rows])):
        for part in parts:
            listed = tmp_path / f"{name}.csv"
            listed.write_text("\n".join(["path,label", *part, ""]))
            convert(
                ConvertOptions(
                    source=str(folder), output=str(tmp_path / name), label_separator=";",
                    list=str(listed), append=len(parts) > 1, allow_new_classes=len(parts) > 1,
                )
            )  # fmt: skip
    grown, new = open_dataset(tmp_path / "grown"), open_dataset(tmp_path / "new")
    assert (grown.labels, new.labels) == (("a", "c", "b"), ("a", "b", "c"))
    assert set(diff(grown.path, new.path).summary.changes.values()) == {0}


def test_diff_finds_other_values_of_the_columns_that_both_datasets_keep(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    lists = {
        "a": "path,label,age,place,.a\n0.png,x,1.5,zoo,1\n1.png,x,,zoo,1\n2.png,x,2.5,,1\n",
        "b": "path,label,age,place,.b\n0.png,x,1.5,zoo,2\n1.png,x,,zoo,2\n2.png,x,2.5,,2\n",
        "c": "path,label,age,place,.a\n0.png,x,1.5,sea,1\n1.png,x,3.5,zoo,1\n2.png,x,,,1\n",
        "d": "path,label,age,place,.a\n0.png,x,1.5,zoo,1\n1.png,x,,zoo,2\n2.png,x,2.5,,1\n",
    }
    for number, (name, text) in enumerate(lists.items()):
        (folder / f"{number}.png").write_bytes(make_picture(number))
        (tmp_path / f"{name}.csv").write_text(text)
    for name in lists:
        convert(
            ConvertOptions(
                source=str(folder), output=str(tmp_path / name), list=str(tmp_path / f"{name}.csv"),
                keep_columns="all",
            )
        )  # fmt: skip
    updated = {"b": [], "c": ["0.png", "1.png", "2.png"], "d": ["1.png"]}
    for name, keys in updated.items():
        found = diff(tmp_path / "a", tmp_path / name)
        changes = {"updated": len(keys)} if keys else {}
        assert {kind: count for kind, count in found.summary.changes.items() if count} == changes
        assert [record.key for record in found.summary.first["updated"]] == keys
        assert [row.split(b",")[:2] for row in found.csv_rows()][1:] == [
            [b"updated", key.encode()] for key in keys
        ]
    assert (
        "updated  1.png (a kept column has another value)"
        in diff(tmp_path / "a", tmp_path / "d").lines()
    )
