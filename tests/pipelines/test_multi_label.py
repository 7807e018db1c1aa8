"""`--multi-label`: any number of labels per image, from lists to records and batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.compact import compact
from records.dataset import open_dataset
from records.errors import CorruptDataError, UsageError
from records.format.index import (
    IndexRow,
    ShardSummary,
    decode_index,
    encode_index,
    index_schema,
    label_lists,
    new_row_table,
)
from records.format.layout import index_name
from records.inspection import inspect
from records.stats import stats
from records.verification import verify
from tests.datasets import edit_manifest
from tests.pipelines.conftest import Convert, manifest_of
from tests.pipelines.pictures import content_of, make_file
from tests.pipelines.sources.lists.shapes import lines, parquet, table
from tests.processor_time import processor_seconds

NAMES = ("blue", "round", "square")
LABELS = [
    (), ("blue",), ("round",), ("square",), ("blue", "round"), ("blue", "square"),
    ("round", "square"), NAMES, (), ("blue",), ("round",), ("blue", "round"),
]  # fmt: skip
KEYS = [f"{number:02}.png" for number in range(len(LABELS))]
EXPECTED = {
    key: tuple(NAMES.index(name) for name in names) for key, names in zip(KEYS, LABELS, strict=True)
}

Write = Callable[[Iterable[tuple[str, tuple[str, ...]]]], bytes]


def with_separator(rows: Iterable[tuple[str, tuple[str, ...]]]) -> bytes:
    return table(("path", "labels"), *((key, " | ".join(names)) for key, names in rows))


def multi_hot(rows: Iterable[tuple[str, tuple[str, ...]]]) -> bytes:
    cells = ((key, *(int(name in names) for name in NAMES)) for key, names in rows)
    return table(("path", *NAMES), *cells)


def json_lines(rows: Iterable[tuple[str, tuple[str, ...]]]) -> bytes:
    return lines(*({"path": key, "labels": list(names)} for key, names in rows))


def parquet_table(rows: Iterable[tuple[str, tuple[str, ...]]]) -> bytes:
    pairs = list(rows)
    columns: dict[str, list[Any]] = {"path": [key for key, _ in pairs]}
    columns |= {name: [name in names for _, names in pairs] for name in NAMES}
    return parquet(columns)


def row_per_label(rows: Iterable[tuple[str, tuple[str, ...]]]) -> bytes:
    """Return a list with a row for each label, and one without a label for images without one."""
    return table(
        ("path", "label"), *((key, name) for key, names in rows for name in names or ("",))
    )


def coco(rows: Iterable[tuple[str, tuple[str, ...]]]) -> bytes:
    pairs = list(rows)
    found = {
        "images": [{"id": number, "file_name": key} for number, (key, _) in enumerate(pairs)],
        "annotations": [
            {"image_id": number, "category_id": NAMES.index(name)}
            for number, (_, names) in enumerate(pairs)
            for name in names[::-1]
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(NAMES)],
    }
    return json.dumps(found).encode()


FORMS: dict[str, tuple[str, Write, dict[str, Any]]] = {
    "separator": ("list.csv", with_separator, {"label_separator": "|"}),
    "multi-hot": ("list.csv", multi_hot, {"multi_label": True}),
    "json": ("list.jsonl", json_lines, {"multi_label": True}),
    "parquet": ("list.parquet", parquet_table, {"multi_label": True}),
    "rows": ("list.csv", row_per_label, {"multi_label": True}),
    "coco": ("list.json", coco, {"multi_label": True}),
}


@pytest.fixture
def convert_form(convert: Convert, tmp_path: Path) -> Callable[..., Any]:
    """Convert the first images in one of the forms of a list."""
    root = tmp_path / "photos"
    for key in KEYS:
        make_file(root, key)

    def convert_now(form: str = "separator", images: int = len(KEYS), **options: Any) -> Any:
        name, write, given = FORMS[form]
        content = write(zip(KEYS[:images], LABELS[:images], strict=True))
        path = make_file(tmp_path, name, content)
        return convert(**{"source": str(root), "list": str(path), **given, **options})

    return convert_now


def labels_of(output: Path) -> dict[str, tuple[int, ...]]:
    """Return the labels of each record, read in order, by number and from the indexes."""
    found = {}
    for split in open_dataset(output).values():
        in_order = list(split)
        assert in_order == [split[number] for number in range(len(split))]
        rows = [
            labels
            for number in range(len(split.info.shards))
            for labels in label_lists(split.load_index(number).table)
        ]
        assert rows == [record.labels for record in in_order]
        for record in in_order:
            assert record.class_names == tuple(NAMES[label] for label in record.labels)
            found[record.key] = record.labels
    return found


def findings_of(output: Path) -> list[str]:
    return [finding.detail for finding in verify(output, decode=True)]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_several_labels_gives_the_same_bytes(
    convert_form: Callable[..., Any], output: Path, tmp_path: Path, form: str
) -> None:
    report = convert_form(form)
    assert "any number of labels from" in report.understood
    assert labels_of(output) == EXPECTED
    assert findings_of(output) == []
    convert_form("separator", output=str(tmp_path / "other"))
    assert content_of(output) == content_of(tmp_path / "other")


@pytest.mark.parametrize("form", ["multi-hot", "json", "rows", "coco"])
def test_several_labels_without_the_option_are_an_error_that_names_it(
    convert_form: Callable[..., Any], form: str
) -> None:
    with pytest.raises(UsageError, match="labels") as caught:
        convert_form(form, multi_label=False)
    assert "--multi-label" in str(caught.value.hint)


def test_record_with_one_label_has_it_as_its_label(
    convert_form: Callable[..., Any], output: Path
) -> None:
    convert_form()
    for record in open_dataset(output)["train"]:
        assert record.label == (record.labels[0] if len(record.labels) == 1 else -1)
        assert record.class_name == ", ".join(LABELS[KEYS.index(record.key)])
        shown = repr(record)
        assert ("labels=" in shown) == (len(record.labels) != 1)
        assert record._repr_html_()


def test_several_labels_survive_append_and_compact(
    convert_form: Callable[..., Any], output: Path, tmp_path: Path
) -> None:
    convert_form(images=8, test=0.3)
    convert_form(output=str(tmp_path / "once"), test=0.3)
    # The dataset has its task: the list needs only the separator.
    assert convert_form("rows", append=True, multi_label=False).generation == 2
    assert labels_of(output) == EXPECTED
    assert findings_of(output) == []
    compact(str(output), str(tmp_path / "compact"))
    for path in (tmp_path / "once").rglob("*.parquet"):
        name = path.relative_to(tmp_path / "once")
        assert path.read_bytes() == (tmp_path / "compact" / name).read_bytes()


def test_inspect_shows_the_task_and_the_columns(
    convert_form: Callable[..., Any], output: Path
) -> None:
    convert_form("multi-hot", label_column="blue,round", keep_columns="square")
    shown = repr(inspect(output))
    assert "multi-label: any number of labels per image" in shown
    assert "square (int64)" in shown


def test_append_of_several_labels_to_one_label_per_image_is_an_error(
    convert_form: Callable[..., Any],
) -> None:
    convert_form("rows", 4, multi_label=False)
    with pytest.raises(UsageError, match="different --multi-label"):
        convert_form("multi-hot", append=True)


def test_dropped_classes_leave_the_other_labels(
    convert_form: Callable[..., Any], output: Path
) -> None:
    report = convert_form(map=("round=",))
    dataset = open_dataset(output)
    assert dataset.labels == ("blue", "square")
    names = {record.key: record.class_names for record in dataset["train"]}
    kept = {
        key: tuple(name for name in names if name != "round")
        for key, names in zip(KEYS, LABELS, strict=True)
    }
    only_round = {key for key, names in zip(KEYS, LABELS, strict=True) if names == ("round",)}
    assert names == {key: value for key, value in kept.items() if key not in only_round}
    assert report.counts.excluded == len(only_round)


def test_merged_classes_are_one_label(convert_form: Callable[..., Any], output: Path) -> None:
    convert_form(map=("round=shape", "square=shape"))
    names = {record.key: record.class_names for record in open_dataset(output)["train"]}
    assert names["07.png"] == ("blue", "shape")
    assert names["06.png"] == ("shape",)


def test_statistics_count_labels_and_images(convert_form: Callable[..., Any], output: Path) -> None:
    convert_form()
    found = stats(output)
    assert found.records == len(KEYS)
    assert found.class_totals == [sum(name in names for names in LABELS) for name in NAMES]
    assert found.labels_per_image == {0: 2, 1: 5, 2: 4, 3: 1}
    pairs = {
        pair: sum(set(pair) <= set(names) for names in LABELS) for pair in combinations(NAMES, 2)
    }
    named = {
        (NAMES[a], NAMES[b]): pair.records for pair in found.label_pairs for a, b in [pair.labels]
    }
    assert named == pairs
    text = repr(found)
    assert "0 2, 1 5, 2 4, 3 1" in text
    assert "blue, round (3)" in text


def test_same_file_with_other_labels_is_a_conflict(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    content = with_separator([("a.png", ("x", "y")), ("b.png", ("x",))])
    path = make_file(tmp_path, "list.csv", content)
    source = tmp_path / "source" / "cat"
    first = next(iter(source.iterdir())).read_bytes()
    for key in ("a.png", "b.png"):
        make_file(tmp_path / "photos", key, first)
    convert(source=str(tmp_path / "photos"), list=str(path), label_separator="|")
    assert stats(output).duplicates.conflict_groups == 1


@pytest.mark.parametrize("options", [{"multi_label": True}, {"label_separator": ","}])
def test_several_labels_of_class_folders_are_an_error(
    convert: Convert, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as caught:
        convert(**options)
    assert caught.value.got == "--multi-label"
    assert str(caught.value.hint).startswith("add --list FILE")


@pytest.mark.parametrize("options", [{"test": 0.25}, {"test": 3}])
def test_stratify_with_several_labels_gives_each_label_its_share(
    convert_form: Callable[..., Any], output: Path, options: dict[str, Any]
) -> None:
    convert_form(stratify=True, **options)
    (threshold,) = manifest_of(output).thresholds
    assert (threshold.label, threshold.test) == (None, "4" + 15 * "0")
    splits = manifest_of(output).splits
    assert {split: info.records for split, info in splits.items()} == {"train": 9, "test": 3}
    for label, records in enumerate(splits["test"].class_records):
        of_label = sum(label in labels for labels in EXPECTED.values())
        assert abs(records - of_label / 4) < 1
    assert findings_of(output) == []


@pytest.mark.parametrize("options", [{"test": 0.25}, {"test": 3}])
def test_append_continues_the_stratification_of_several_labels(
    convert_form: Callable[..., Any], output: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    convert_form(stratify=True, images=8, test=options["test"] if options["test"] < 1 else 2)
    before = {split: {it.key for it in records} for split, records in open_dataset(output).items()}
    convert_form(append=True)
    after = {split: {it.key for it in records} for split, records in open_dataset(output).items()}
    assert {split: len(keys) for split, keys in after.items()} == {"train": 9, "test": 3}
    assert all(before[split] <= after[split] for split in before)
    assert findings_of(output) == []
    compact(str(output), str(tmp_path / "compacted"))
    compacted = open_dataset(tmp_path / "compacted")
    assert {split: {it.key for it in records} for split, records in compacted.items()} == after


def test_stratify_with_several_labels_keeps_groups_whole_in_every_generation(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    def convert_rows(images: int, **options: Any) -> None:
        rows = [(f"{n}.png", f"{NAMES[n % 3]}|blue", f"patient {n % 9}") for n in range(images)]
        for key, *_ in rows:
            make_file(tmp_path / "photos", key)
        path = make_file(tmp_path, "list.csv", table(("path", "labels", "group"), *rows))
        source = str(tmp_path / "photos")
        convert(source=source, list=str(path), label_separator="|", **options)

    convert_rows(18, stratify=True, test=0.3)
    convert_rows(45, append=True)
    splits: dict[int, set[str]] = {}
    for split, records in open_dataset(output).items():
        for record in records:
            splits.setdefault(int(record.key[:-4]) % 9, set()).add(split)
    assert len(splits) == 9
    assert all(len(of_group) == 1 for of_group in splits.values())
    assert set.union(*splits.values()) == {"train", "test"}


def test_record_with_other_labels_than_the_index_is_a_finding(
    convert_form: Callable[..., Any], output: Path, tmp_path: Path
) -> None:
    convert_form()
    other = tmp_path / "other"
    convert_form(output=str(other), map=("blue=square", "square=blue"))
    (name,) = (path.name for path in output.glob("*.tfrecord"))
    (output / name).write_bytes((other / name).read_bytes())
    assert any("labels: expected" in detail for detail in findings_of(output))
    with pytest.raises(CorruptDataError):
        open_dataset(output)["train"].check_first_record(0)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda fields: fields["settings"].update(task="classification"), "number of labels"),
        (lambda fields: fields["labels"].pop(), "the label 2"),
    ],
)
def test_index_that_contradicts_the_manifest_is_a_finding_for_every_reader(
    convert_form: Callable[..., Any],
    output: Path,
    change: Callable[[dict[str, Any]], object],
    got: str,
) -> None:
    convert_form()

    def edit(manifest: dict[str, Any]) -> None:
        change(manifest)
        for info in manifest["splits"].values():
            counts = [0] * len(manifest["labels"])
            info["class_records"] = [info["records"], *counts[1:]]

    edit_manifest(output, edit)
    assert any(got in detail for detail in findings_of(output))
    with pytest.raises(CorruptDataError, match=f"does not match the manifest.*{got}"):
        stats(output)


def test_damaged_manifest_is_the_only_finding(
    convert_form: Callable[..., Any], output: Path
) -> None:
    convert_form()
    (output / "dataset.json").write_bytes(b"{}")
    assert len(findings_of(output)) == 1


def test_class_that_loses_its_images_is_a_note(
    convert_form: Callable[..., Any], tmp_path: Path
) -> None:
    for key, names in zip(KEYS, LABELS, strict=True):
        if "square" in names:
            (tmp_path / "photos" / key).write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (tmp_path / "photos" / "07.png").unlink()
    report = convert_form(max_rejects=9)
    assert any("class square: 4 of 4 images rejected" in note for note in report.notes)
    assert {reject.classes for reject in report.first_rejects} >= {("round", "square"), NAMES}


def test_index_of_many_labels_and_classes_is_read() -> None:
    rows = [
        IndexRow(f"{n}.png", -1, 100 * n, 50, 100 * n + 20, 9, "png", 1, 1, 1, 9, f"{n:032x}", (),
                 labels=tuple(sorted((n * 31 + step * 977) % 9000 for step in range(8))))
        for n in range(2500)
    ]  # fmt: skip
    summary = ShardSummary("a", "train", "0" * 32, 2500, 1, "", "", {})
    content = encode_index(summary, new_row_table(rows, index_schema(multi_label=True)))
    assert decode_index(content, path="a").rows() == rows


def test_many_rows_of_one_image_take_linear_time(
    convert: Convert, tmp_path: Path, output: Path
) -> None:
    make_file(tmp_path / "photos", "a.png")
    rows = [("a.png", f"c{number}") for number in range(4000)]
    path = make_file(tmp_path, "list.csv", table(("path", "label"), *rows))
    options = {"source": str(tmp_path / "photos"), "list": str(path), "multi_label": True}
    assert processor_seconds(lambda: convert(**options)) < 10
    (record,) = open_dataset(output)["train"]
    assert len(record.labels) == 4000


def test_several_labels_in_a_dataset_of_one_label_per_image_are_damage(
    convert_form: Callable[..., Any], output: Path
) -> None:
    convert_form()

    def declare_one(manifest: dict[str, Any]) -> None:
        manifest["settings"]["task"] = "classification"
        for info in manifest["splits"].values():
            info["class_records"] = [info["records"], 0, 0]

    edit_manifest(output, declare_one)
    with pytest.raises(CorruptDataError, match="no valid feature image/class/label"):
        list(open_dataset(output)["train"])
    assert findings_of(output)


def test_index_has_the_labels_of_each_image(convert_form: Callable[..., Any], output: Path) -> None:
    convert_form()
    (name,) = (path.name for path in output.glob("*.tfrecord"))
    rows = pq.read_table(output / index_name(name)).to_pylist()
    assert {row["key"]: tuple(row["labels"]) for row in rows} == EXPECTED
    assert {row["label"] for row in rows} == {-1}


@settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "ü c", "0", "-1"]), max_size=4).map(tuple),
        min_size=len(KEYS),
        max_size=len(KEYS),
    ).filter(any)
)
def test_any_labels_are_read_as_they_were_listed(
    convert_form: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
    labels: list[tuple[str, ...]],
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = make_file(folder, "list.jsonl", json_lines(zip(KEYS, labels, strict=True)))
    convert_form("json", list=str(path), output=str(folder / "data"))
    dataset = open_dataset(folder / "data")
    found = {record.key: record.class_names for record in dataset["train"]}
    assert found == {
        key: tuple(sorted(set(names), key=str.encode))
        for key, names in zip(KEYS, labels, strict=True)
    }
    assert findings_of(folder / "data") == []
