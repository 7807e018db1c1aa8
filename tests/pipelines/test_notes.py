"""Notes of a conversion on its classes and splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from pipelines.cli.output import summarize
from records.errors import UsageError
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, make_file, make_folders, make_picture


def class_notes(notes: tuple[str, ...]) -> list[str]:
    return [note for note in notes if "class" in note]


def test_convert_group_by_parent_of_class_folders_notes_classes_outside_train(
    convert: Convert, tmp_path: Path
) -> None:
    source = make_folders(tmp_path / "many", **{f"c{number}": 3 for number in range(12)})
    report = convert(source=str(source), group_by="parent", test=0.3)
    (note,) = class_notes(report.notes)
    assert "without images in train: c" in note
    assert note.endswith("in groups that --group-by put into another split")
    train = report.splits["train"].images // 3
    assert note.startswith("1 class " if train == 11 else f"{12 - train} classes ")


def test_convert_one_class_in_all_is_noted(convert: Convert, tmp_path: Path) -> None:
    source = make_folders(tmp_path / "one", cat=4)
    (note,) = class_notes(convert(source=str(source)).notes)
    assert note.startswith("there is one class, cat: a model needs at least two")


def test_convert_empty_class_is_noted(convert: Convert, source: Path) -> None:
    (source / "cow").mkdir()
    assert class_notes(convert(dry_run=True).notes) == ["class cow has no images"]


@pytest.mark.parametrize(("good", "bad"), [(0, 4), (3, 4), (4, 4), (9, 1)])
def test_convert_class_that_loses_most_of_its_images_is_noted(
    convert: Convert, tmp_path: Path, good: int, bad: int
) -> None:
    source = make_folders(tmp_path / "rejected", cat=12, dog=good)
    for number in range(bad):
        make_file(source, f"dog/bad{number}.png", CORRUPT)
    report = convert(source=str(source), max_rejects=bad)
    expected = [f"class dog: {bad} of {good + bad} images rejected ({bad} corrupt)"]
    assert class_notes(report.notes) == (expected if bad > good else [])


def test_summary_names_five_rejects_and_the_list_of_all(convert: Convert, tmp_path: Path) -> None:
    source = make_folders(tmp_path / "rejected", cat=12)
    for number in range(7):
        make_file(source, f"cat/bad{number}.png", CORRUPT)
    lines = summarize(convert(source=str(source))).splitlines()
    named = [line for line in lines if line.startswith("  rejected   cat/bad")]
    assert [line.split("/bad")[1][0] for line in named] == list("01234")
    assert lines[lines.index(named[-1]) + 1].strip().endswith("/rejects.jsonl")


def test_convert_many_empty_classes_are_counted(convert: Convert, source: Path) -> None:
    for number in range(8):
        (source / f"empty{number}").mkdir()
    assert class_notes(convert(dry_run=True).notes)[-1] == "3 more classes without images"


def test_append_class_of_the_dataset_without_new_images_is_not_empty(
    convert: Convert, source: Path, tmp_path: Path
) -> None:
    convert()
    new = tmp_path / "new"
    make_file(new, "dog/new.png", make_picture(99))
    (new / "cat").mkdir()
    report = convert(source=str(new), append=True, max_gone=1.0)
    assert report.counts.stored == 1
    assert class_notes(report.notes) == []


def test_append_counts_the_images_of_a_renamed_class_under_its_new_name(
    convert: Convert, source: Path
) -> None:
    convert(test=0.3)
    (source / "dog").rename(source / "hound")
    report = convert(append=True, allow_new_classes=True)
    assert report.corrected
    noted = [note for note in report.notes if note.startswith("class ")]
    assert noted == ["class dog has no images"]


@pytest.mark.parametrize("other", ["Cat", "cat ", " cat", "CAT"])
def test_convert_classes_that_differ_by_case_or_blanks_are_noted(
    convert: Convert, source: Path, other: str
) -> None:
    make_file(source, f"{other}/1.png")
    (note,) = class_notes(convert(dry_run=True).notes)
    assert note.startswith("these classes differ only by case or blanks: ")
    assert f'"{other}"' in note


def test_summary_of_split_folders_names_only_the_folders_of_the_source(
    convert: Convert, tmp_path: Path
) -> None:
    source = tmp_path / "split"
    for number in range(6):
        make_file(source, f"train/cat/{number}.png")
        make_file(source, f"test/cat/t{number}.png")
    report = convert(source=str(source), validation=2, dry_run=True)
    assert report.splits["validation"].images == 2
    assert "source     folders train, test, one folder per class in each" in summarize(report)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"test": 5000}, "--test-count 5000: request fewer than 21 images"),
        ({"test": 21}, "--test-count 21: request fewer than 21 images"),
        ({"test": 5, "validation": 20}, "--test-count 5 and --validation-count 20: request fewer"),
        ({"test": 0.0001}, "change the fractions, or request exact counts"),
        ({"test": 0.0001, "group_by": "parent"}, "change the fractions: groups are never divided"),
    ],
)
def test_convert_empty_split_hint_fits_the_options(
    convert: Convert, options: dict[str, object], hint: str
) -> None:
    with pytest.raises(UsageError, match="would be empty, got 21 images") as found:
        convert(**options)
    assert hint in str(found.value)


ENCODERS: dict[str, Callable[[str], bytes]] = {
    "utf-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "PowerShell": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "bytes that are not UTF-8": lambda text: text.encode() + b"dog/\xff\xfe.png\n",
}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_convert_exclude_file_in_any_encoding_excludes_the_key(
    convert: Convert, source: Path, tmp_path: Path, encoding: str
) -> None:
    key = next(source.glob("cat/*")).relative_to(source)
    path = tmp_path / "exclude.txt"
    path.write_bytes(ENCODERS[encoding](f"{key}\n"))
    assert convert(exclude=str(path), dry_run=True).counts.excluded == 1


def test_convert_list_row_with_a_name_twice_is_refused_with_its_line(
    convert: Convert, source: Path, tmp_path: Path
) -> None:
    key = next(source.glob("cat/*")).relative_to(source)
    path = tmp_path / "list.jsonl"
    path.write_text(
        f'{{"path": "{key}", "label": "a"}}\n{{"path": "x", "label": "a", "label": "b"}}'
    )
    with pytest.raises(UsageError, match=r"list\.jsonl line 2: .*'label' twice"):
        convert(list=str(path))


@pytest.mark.parametrize("seed", range(4))
def test_convert_list_that_divides_groups_is_noted(
    convert: Convert, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    source = make_folders(tmp_path / "photos", cat=12, dog=12)
    splits: dict[str, set[str]] = {}
    rows = ["path,label,split,group"]
    for path in sorted(source.rglob("*.png")):
        group = random.choice(["", "g1", "g2", "g3", "g4"])
        split = random.choice(["train", "train", "test"])
        rows.append(f"{path.relative_to(source)},{path.parent.name},{split},{group}")
        splits.setdefault(group, set()).add(split)
    listed = make_file(tmp_path, "list.csv", "\n".join(rows).encode())
    notes = convert(source=str(source), list=str(listed)).notes
    divided = sorted(group for group, found in splits.items() if group and len(found) > 1)
    found = [note for note in notes if "divided" in note]
    assert len(found) == bool(divided)
    if divided:
        count = "1 group" if len(divided) == 1 else f"{len(divided)} groups"
        assert found[0].startswith(f"{count} divided among splits, for example {divided[0]}: ")


def test_convert_groups_without_splits_of_the_source_have_no_note(
    convert: Convert, source: Path
) -> None:
    notes = convert(group_by="([0-9]+)[.]", test=0.4).notes
    assert not [note for note in notes if "divided" in note]
