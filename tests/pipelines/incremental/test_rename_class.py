"""Tests of runs after class folders of the source were renamed: `--rename-class`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import shardmill as sm
from pipelines.compact import compact
from pipelines.edit import relabel
from pipelines.report import Report
from pipelines.rollback import rollback
from pipelines.source_differences import RenamedClass
from records import open_dataset, verify
from records.errors import UsageError
from records.format import layout
from records.format.edits import read_past_edits
from records.format.manifest import read_manifest
from records.history import diff, log
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_folders, make_picture


@pytest.fixture
def append(convert: Convert) -> Convert:
    """Append to the dataset; always with the same options."""

    def run(**options: Any) -> Report:
        return convert(**{"test": 0.3, "seed": 2, "append": True, **options})

    return run


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a source of three classes, and a dataset of two generations."""
    folder = tmp_path_factory.mktemp("template")
    source = make_folders(folder / "source", cat=12, dog=9)
    given: dict[str, Any] = {"test": 0.3, "seed": 2, "workers": 1}
    sm.append(source, folder / "data", shards=3, **given)
    for number in range(4):
        make_file(source, f"eel/{number}.png", make_picture(700 + number))
    sm.append(source, folder / "data", allow_new_classes=True, **given)
    return folder


@pytest.fixture
def grown(template: Path, source: Path, output: Path) -> Path:
    """Return a copy of the dataset; `source` is a copy of its source."""
    shutil.rmtree(source)
    shutil.copytree(template / "source", source)
    shutil.copytree(template / "data", output)
    return output


def classes_of(dataset: str | Path) -> dict[str, tuple[str, ...]]:
    return {
        record.key: record.class_names
        for records in open_dataset(dataset).values()
        for record in records
    }


def renamed(classes: dict[str, tuple[str, ...]], **names: str) -> dict[str, tuple[str, ...]]:
    return {key: tuple(names.get(it, it) for it in them) for key, them in classes.items()}


def test_append_renames_a_class_without_storing_an_image_twice(
    grown: Path, append: Convert, source: Path
) -> None:
    before = classes_of(grown)
    (source / "cat").rename(source / "felis")
    make_file(source, "felis/new.png", make_picture(900))
    with pytest.raises(UsageError, match=r"got felis.*--rename-class cat=felis"):
        append()
    options: dict[str, Any] = {"rename_class": ("cat=felis",)}
    planned = append(**options, dry_run=True)
    report = append(**options)
    assert (
        planned.class_renamed == report.class_renamed == (RenamedClass("cat", "felis", 12, False),)
    )
    assert (report.counts.stored, report.corrected, report.relabelled) == (1, 0, ())
    assert "class cat renamed to felis: 12 images" in report.notes
    dataset = open_dataset(grown)
    assert dataset.labels == ("felis", "dog", "eel")
    assert (grown / layout.LABELS).read_text().splitlines() == ["0:felis", "1:dog", "2:eel"]
    assert classes_of(grown) == renamed(before, cat="felis") | {"felis/new.png": ("felis",)}
    assert classes_of(f"{grown}@2") == before
    assert list(verify(grown, decode=True)) == list(verify(f"{grown}@2", decode=True)) == []
    shown = CliRunner().invoke(shardmill, ["inspect", str(grown)]).stdout
    assert "; class cat renamed to felis" in shown
    entry = log(grown).generations[0]
    assert (entry.added, entry.removed, entry.relabelled) == (1, 0, 12)
    assert entry.relabelled == diff(f"{grown}@2", grown).summary.changes["relabelled"]
    for again in (options, {}):
        assert append(**again).status == "nothing-to-do"
    assert append(rename_class={"cat": "felis"}).notes[0] == (
        "--rename-class cat=felis has no effect: no image has the class cat"
    )
    rollback(str(grown), to=2)
    assert classes_of(grown) == before
    assert log(grown).generations[0].relabelled == 12
    assert list(verify(grown, decode=True)) == []


def test_append_merges_a_class_into_an_existing_one_with_a_note(
    grown: Path, append: Convert, source: Path
) -> None:
    before = classes_of(grown)
    for path in (source / "cat").iterdir():
        path.rename(source / "dog" / f"cat-{path.name}")
    (source / "cat").rmdir()
    report = append(rename_class={"cat": "dog"})
    assert report.class_renamed == (RenamedClass("cat", "dog", 12, True),)
    assert (report.counts.stored, report.corrected, report.relabelled) == (0, 0, ())
    note = (
        "class cat merged into class dog: 12 images relabelled; cat keeps its label, without images"
    )
    assert note in report.notes
    assert open_dataset(grown).labels == ("cat", "dog", "eel")
    assert classes_of(grown) == renamed(before, cat="dog")
    assert list(verify(grown, decode=True)) == []
    before_again = content_of(grown)
    assert append(rename_class={"cat": "dog"}).status == "nothing-to-do"
    assert content_of(grown) == before_again


def test_renamed_class_keeps_corrections_of_relabel(
    grown: Path, append: Convert, source: Path, tmp_path: Path
) -> None:
    relabel(str(grown), {"cat/000.png": ("dog",), "dog/000.png": ("cat",)})
    relabel(str(grown), {"cat/001.png": ("eel",)})
    expected = renamed(classes_of(grown), cat="felis", eel="dog")
    (source / "cat").rename(source / "felis")
    for path in (source / "eel").iterdir():
        path.rename(source / "dog" / f"eel-{path.name}")
    (source / "eel").rmdir()
    append(rename_class={"cat": "felis", "eel": "dog"})
    assert classes_of(grown) == expected
    report = append()
    assert (report.status, report.relabelled) == ("nothing-to-do", ())
    compact(str(grown), str(tmp_path / "new"))
    lists = [
        read_past_edits(storage, read_manifest(storage)).relabelled
        for storage in map(open_storage, (grown, tmp_path / "new"))
    ]
    assert [(it.key, it.old_classes, it.new_classes) for it in lists[0]] == [
        ("cat/000.png", ("felis",), ("dog",)),
        ("cat/001.png", ("felis",), ("dog",)),
        ("dog/000.png", ("dog",), ("felis",)),
    ]
    assert lists[0] == lists[1]
    report = append(output=str(tmp_path / "new"))
    assert (report.status, report.relabelled) == ("nothing-to-do", ())
    compact(str(grown), in_place=True)
    assert append().status == "nothing-to-do"
    assert list(verify(grown, decode=True)) == []


@pytest.mark.parametrize(
    ("renames", "labels"),
    [
        ({"cat": "eel", "eel": "cat"}, ("eel", "dog", "cat")),
        ({"cat": "dog", "dog": "canis"}, ("dog", "canis", "eel")),
        ({"cat": "dog", "dog": "eel"}, ("dog", "cat", "eel")),
    ],
)
def test_renames_to_the_old_name_of_another_class_are_applied_once(
    grown: Path, append: Convert, source: Path, renames: dict[str, str], labels: tuple[str, ...]
) -> None:
    relabel(str(grown), {"cat/000.png": ("eel",), "dog/000.png": ("cat",)})
    expected = renamed(classes_of(grown), **renames)
    for old in renames:
        (source / old).rename(source / f"old {old}")
    for old, new in renames.items():
        for path in (source / f"old {old}").iterdir():
            make_file(source, f"{new}/{old} {path.name}", path.read_bytes())
        shutil.rmtree(source / f"old {old}")
    append(rename_class=renames)
    assert open_dataset(grown).labels == labels
    assert classes_of(grown) == expected
    content = content_of(grown)
    assert append(rename_class=renames).status == "nothing-to-do"
    assert content_of(grown) == content
    assert list(verify(grown, decode=True)) == []


@pytest.mark.slow
def test_append_exchanges_the_names_of_two_classes(
    grown: Path, append: Convert, source: Path
) -> None:
    before = classes_of(grown)
    for number, path in enumerate((source / "eel").iterdir()):
        path.rename(source / "eel" / f"e{number}.png")
    append()
    (source / "eel").rename(source / "tmp")
    (source / "cat").rename(source / "eel")
    (source / "tmp").rename(source / "cat")
    append(rename_class={"cat": "eel", "eel": "cat"})
    assert open_dataset(grown).labels == ("eel", "dog", "cat")
    assert classes_of(grown) == renamed(before, cat="eel", eel="cat")
    assert append().status == "nothing-to-do"
    assert list(verify(grown, decode=True)) == []


def test_one_of_two_exchanged_names_is_given_back(
    grown: Path, append: Convert, source: Path
) -> None:
    """Half of an exchange, together with another rename, is not the exchange again."""
    before = classes_of(grown)

    def move(folder: str, new: str) -> None:
        (source / folder).rename(source / new)

    for name in ("cat", "eel"):
        for path in (source / name).iterdir():
            path.rename(path.with_name(f"{name}-{path.name}"))
    append()
    for old, new in (("eel", "tmp"), ("cat", "eel"), ("tmp", "cat")):
        move(old, new)
    append(rename_class={"cat": "eel", "eel": "cat"})
    move("eel", "fox")
    move("cat", "eel")
    append(rename_class={"cat": "eel", "eel": "fox"})
    assert classes_of(grown) == renamed(before, cat="fox")
    assert append(rename_class={"cat": "eel", "eel": "fox"}).status == "nothing-to-do"


@pytest.mark.parametrize("new", ["cat", pytest.param("fox", marks=pytest.mark.slow)])
def test_same_renames_again_have_no_effect(
    grown: Path, append: Convert, source: Path, new: str
) -> None:
    """A class has the old name also after the renames."""
    before = classes_of(grown)
    for name in ("cat", "dog"):
        for path in (source / name).iterdir():
            path.rename(path.with_name(f"{name}-{path.name}"))
    append()
    for old, name in (("dog", "tmp"), ("cat", "dog"), ("tmp", new)):
        (source / old).rename(source / name)
    names = {"cat": "dog", "dog": new}
    append(rename_class=names)
    assert classes_of(grown) == renamed(before, **names)
    files = content_of(grown)
    report = append(rename_class=names)
    assert (report.status, report.class_renamed) == ("nothing-to-do", ())
    note = f"--rename-class dog={new} has no effect: an earlier run has applied it"
    assert note in report.notes
    assert content_of(grown) == files
    assert list(verify(grown, decode=True)) == []


@pytest.mark.slow
def test_append_renames_a_class_without_images(grown: Path, append: Convert, source: Path) -> None:
    relabel(str(grown), {f"eel/{number}.png": ("dog",) for number in range(4)})
    before = content_of(grown)
    shutil.rmtree(source / "eel")
    report = append(rename_class={"eel": "conger"}, max_gone=1.0)
    assert report.class_renamed == (RenamedClass("eel", "conger", 0, False),)
    assert open_dataset(grown).labels == ("cat", "dog", "conger")
    assert list(verify(grown, decode=True)) == []
    shards = {name for name in content_of(grown) if name.endswith(".tfrecord")}
    assert shards == {name for name in before if name.endswith(".tfrecord")}


def test_append_merges_labels_of_an_image_with_several(
    convert: Convert, source: Path, output: Path, tmp_path: Path
) -> None:
    def run(rows: list[str], **options: Any) -> Report:
        file = make_file(tmp_path, "list.csv", "\n".join(["path,label", *rows]).encode())
        return convert(list=str(file), label_separator="|", append=True, **options)

    run(["cat/000.png,a|b", "cat/001.png,a|c", "cat/002.png,b", "cat/003.png,"])
    rows = ["cat/000.png,b", "cat/001.png,b|z", "cat/002.png,b", "cat/003.png,"]
    report = run(rows, rename_class=("a=b", "c=z"))
    assert [(it.old, it.merged) for it in report.class_renamed] == [("a", True), ("c", False)]
    expected = {"000": ("b",), "001": ("b", "z"), "002": ("b",), "003": ()}
    assert classes_of(output) == {f"cat/{key}.png": them for key, them in expected.items()}
    assert run(rows).status == "nothing-to-do"
    assert list(verify(output, decode=True)) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("cats=felis",), "names a class that the dataset does not have, expected cat, dog, eel"),
        (("cat",), "needs the old and the new name of a class, expected OLD=NEW, got cat="),
        (("cat=cat",), "needs the old and the new name"),
        (("cat=a", "cat=b"), "the class cat has two new names, got a and b"),
        (("cat=a\nb",), "control characters"),
        (("cat=felis",), "the source still contains a class of --rename-class, got cat"),
        (("cat=dog",), "the source still contains a class of --rename-class, got cat"),
    ],
)
def test_invalid_renames_are_one_error_that_names_the_classes(
    grown: Path, append: Convert, given: tuple[str, ...], problem: str
) -> None:
    before = content_of(grown)
    with pytest.raises(UsageError, match=problem):
        append(rename_class=given, allow_new_classes=True)
    assert content_of(grown) == before


def test_rename_class_without_append_is_refused(convert: Convert) -> None:
    with pytest.raises(UsageError, match="--rename-class needs --append"):
        convert(rename_class=("cat=felis",))


def test_rename_class_of_the_command_and_of_python_is_reported(grown: Path, source: Path) -> None:
    (source / "cat").rename(source / "felis")
    call = ["convert", str(source), str(grown), "--append", "--rename-class", "cat=felis"]
    result = CliRunner().invoke(shardmill, [*call, "--dry-run", "--json"])
    expected = [{"from": "cat", "to": "felis", "images": 12, "merged": False}]
    assert json.loads(result.stdout)["class_renamed"] == expected
    report = sm.append(source, grown, rename_class={"cat": "felis"})
    assert [it.new for it in report.class_renamed] == ["felis"]
