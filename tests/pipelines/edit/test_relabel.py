"""Correction of classes: lists, errors, and later incremental runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import shardmill as sm
from pipelines.compact import compact
from pipelines.edit import relabel, remove
from pipelines.report import Report
from records import Record, open_dataset, verify
from records.errors import InputNotFoundError, UsageError
from records.format import layout
from records.format.edits import RELABELLED
from records.format.manifest import read_manifest
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture

OPTIONS: dict[str, Any] = {"test": 0.3, "shards": 3, "seed": 2}


@pytest.fixture
def data(convert: Convert, output: Path) -> Path:
    convert(**OPTIONS)
    return output


def records_of(dataset: Path | str) -> dict[str, tuple[Record, str]]:
    return {
        record.key: (record, name)
        for name, split in open_dataset(dataset).items()
        for record in split
    }


def classes_of(dataset: Path | str) -> dict[str, str]:
    return {key: record.class_name for key, (record, _) in records_of(dataset).items()}


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(shardmill, list(map(str, arguments)))
    error = result.exception
    return getattr(error, "exit_code", result.exit_code), f"{result.stdout}{error or ''}"


def test_relabel_changes_only_the_classes_of_the_given_images(data: Path) -> None:
    before = records_of(data)
    new = {"cat/000.png": ("dog",), "dog/001.png": ("cat",), "dog/002.png": ("dog",)}
    report = relabel(str(data), new)
    assert (report.status, report.relabelled, report.old_shards) == ("relabelled", 2, ())
    assert report.relabelled_keys == ("cat/000.png", "dog/001.png")
    after = records_of(data)
    assert after.keys() == before.keys()
    for key, (record, split) in after.items():
        old, old_split = before[key]
        assert (record.image, split) == (old.image, old_split)
        expected = new.get(key, (old.class_name,))
        assert record.class_names == expected
        assert record.labels == tuple(open_dataset(data).labels.index(name) for name in expected)
    assert list(verify(data, decode=True)) == []
    assert relabel(str(data), new).status == "nothing-to-do"


def test_relabel_dry_run_and_present_classes_write_nothing(data: Path) -> None:
    before = content_of(data)
    assert relabel(str(data), {"cat/000.png": ("dog",)}, dry_run=True).relabelled == 1
    assert relabel(str(data), {"cat/000.png": ("cat",)}).status == "nothing-to-do"
    assert content_of(data) == before


def test_relabel_new_class_needs_the_option_and_follows_the_existing_classes(
    data: Path, tmp_path: Path
) -> None:
    before = content_of(data)
    with pytest.raises(UsageError, match="classes that the dataset does not have"):
        relabel(str(data), {"cat/000.png": ("ant eater",)})
    assert content_of(data) == before
    report = relabel(str(data), {"cat/000.png": ("ant eater",)}, allow_new_classes=True)
    assert report.new_classes == ("ant eater",)
    assert open_dataset(data).labels == ("cat", "dog", "ant eater")
    assert list(verify(data, decode=True)) == []
    compact(str(data), str(tmp_path / "new"))
    assert classes_of(tmp_path / "new") == classes_of(data)
    assert list(verify(tmp_path / "new", decode=True)) == []


def test_relabel_adds_no_class_that_only_missing_keys_have(data: Path) -> None:
    new = {"cat/000.png": ("élan",), "cat/none.png": ("fox",)}
    report = relabel(str(data), new, allow_new_classes=True, ignore_missing=True)
    assert (report.relabelled, report.missing, report.new_classes) == (1, 1, ("élan",))
    assert open_dataset(data).labels == ("cat", "dog", "élan")
    report = relabel(str(data), {"none.png": ("fox",)}, ignore_missing=True)
    assert (report.status, report.missing) == ("nothing-to-do", 1)


def test_relabel_adds_classes_to_a_dataset_without_labels(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    rows = make_file(tmp_path, "list.csv", b"path,age\ncat/000.png,1\ndog/000.png,2\n")
    convert(list=str(rows), target_column="age")
    relabel(str(output), {"cat/000.png": ("cat",)}, allow_new_classes=True)
    assert classes_of(output) == {"cat/000.png": "cat", "dog/000.png": "image"}
    assert list(verify(output, decode=True)) == []


def test_relabel_command_reads_the_list_from_stdin(data: Path) -> None:
    call = ["relabel", str(data), "-", "--json"]
    for text in ("key,class\ncat/000.png,dog\n", '{"key": "cat/000.png", "class": "cat"}\n'):
        result = CliRunner().invoke(shardmill, call, input=text)
        assert json.loads(result.stdout)["relabelled_keys"] == ["cat/000.png"]
    error = CliRunner().invoke(shardmill, call, input="key,class\n,dog\n").exception
    assert str(error).startswith("stdin line 2: a row has no key")


def test_relabel_after_interrupted_run_with_other_new_classes_writes_the_labels_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.edit.apply.publish_edits", interrupt)
        with pytest.raises(KeyboardInterrupt):
            relabel(str(data), {"cat/000.png": ("zebra",)}, allow_new_classes=True)
    given = {"cat/000.png": ("zebra",), "cat/nine.png": ("ant",)}
    relabel(str(data), given, allow_new_classes=True, ignore_missing=True)
    assert classes_of(data)["cat/000.png"] == "zebra"
    assert list(verify(data, decode=True)) == []


def test_relabel_unknown_keys_are_an_error(data: Path) -> None:
    with pytest.raises(InputNotFoundError, match="1 key not found"):
        relabel(str(data), {"cat/nine.png": ("dog",), "cat/000.png": ("dog",)})
    report = relabel(
        str(data), {"cat/nine.png": ("dog",), "cat/000.png": ("dog",)}, ignore_missing=True
    )
    assert (report.relabelled, report.missing) == (1, 1)


LISTS = {
    "comma.csv": "key,class\ncat/000.png,dog\ncat/001.png, dog \n",
    "semicolon.csv": "path;label;comment\r\ncat/000.png;dog;a\r\ncat/001.png;dog;b\r\n",
    "tab.tsv": "filename\tcategory\ncat/000.png\tdog\ncat/001.png\tdog\n",
    "lines.jsonl": '{"key": "cat/000.png", "y": "dog"}\n{"key": "cat/001.png", "y": "dog"}',
    "array.json": '[{"id": "cat/000.png", "tag": "dog"}, {"id": "cat/001.png", "tag": "dog"}]',
    "one-hot.csv": "key,cat,dog\ncat/000.png,0,1\ncat/001.png,0,1\ndog/000.png,0,1\n"
    "cat/002.png,1,0\n",
}


@pytest.mark.parametrize(("name", "content"), LISTS.items(), ids=LISTS)
def test_relabel_command_reads_every_form_of_lists(
    data: Path, tmp_path: Path, name: str, content: str
) -> None:
    code, text = run("relabel", data, make_file(tmp_path, name, content.encode()))
    assert code == 0, text
    assert "2 images relabelled in generation 2" in text
    assert classes_of(data)["cat/000.png"] == classes_of(data)["cat/001.png"] == "dog"


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("", 66, "the list is empty"),
        ("key,class\ncat/000.png,\n", 2, "an image of this dataset has one class"),
        ("key,class\ncat/000.png,dog\ncat/000.png,cat\n", 2, "different labels"),
        ("key,class\n,dog\n", 2, "a row has no key"),
        ("one,two,three\ncat/000.png,dog,1\n", 2, "no column of the list"),
        ("key,class\ncat/nine.png,dog\n", 66, "1 key not found in the dataset, got cat/nine.png"),
        ("key,class\ncat/000.png,dgo\n", 2, "pass --allow-new-classes"),
        ("key,class\ncat/000.png,cat\n", 0, "nothing to do"),
    ],
)
def test_relabel_command_reports_in_one_line(
    data: Path, tmp_path: Path, content: str, code: int, message: str
) -> None:
    before = content_of(data)
    found = run("relabel", data, make_file(tmp_path, "list.csv", content.encode()))
    assert found[0] == code, found
    assert message in found[1]
    assert content_of(data) == before


def test_relabel_json_is_the_report(data: Path, tmp_path: Path) -> None:
    file = make_file(tmp_path, "list.csv", b"name,kind\ncat/000.png,dog\n")
    options = ["--path-column", "name", "--label-column", "kind", "--json"]
    code, text = run("relabel", data, file, *options)
    report = json.loads(text)
    assert (code, report["status"], report["relabelled"]) == (0, "relabelled", 1)
    assert report["relabelled_keys"] == ["cat/000.png"]


def test_relabel_of_images_with_any_number_of_labels(convert: Convert, tmp_path: Path) -> None:
    for number in range(12):
        make_file(tmp_path / "photos", f"{number}.png", make_picture(number))
    rows = [f"{number}.png,{'a|b' if number % 2 else 'c'},{number}" for number in range(12)]
    make_file(tmp_path, "list.csv", "\n".join(["path,label,age", *rows]).encode())
    options = {"list": str(tmp_path / "list.csv"), "label_separator": "|", "keep_columns": "all"}
    convert(source=str(tmp_path / "photos"), test=0.3, **options)
    data = tmp_path / "data"
    new = {"1.png": ["c"], "2.png": [], "3.png": ["b", "a"], "4.png": ["d", "a"]}
    report = sm.relabel(data, new, allow_new_classes=True)
    assert report.relabelled == 3
    assert list(verify(data, decode=True)) == []
    found = {key: record for key, (record, _) in records_of(data).items()}
    assert [found[f"{number}.png"].class_names for number in (1, 2, 3, 4)] == [
        ("c",), (), ("a", "b"), ("a", "d"),
    ]  # fmt: skip
    assert found["4.png"].columns["age"] == 4
    corrected = make_file(tmp_path, "corrected.csv", b"path,label\n5.png,c|d\n")
    assert run("relabel", data, corrected, "--label-separator", "|")[0] == 0
    assert records_of(data)["5.png"][0].class_names == ("c", "d")


def test_relabel_list_with_the_same_labels_in_another_order_is_accepted(
    convert: Convert, tmp_path: Path
) -> None:
    make_file(tmp_path, "photos/1.png", make_picture(1))
    make_file(tmp_path, "photos/2.png", make_picture(2))
    make_file(tmp_path, "list.csv", b"path,label\n1.png,a\n2.png,b\n")
    options = {"list": str(tmp_path / "list.csv"), "label_separator": "|", "multi_label": True}
    convert(source=str(tmp_path / "photos"), **options)
    corrected = make_file(tmp_path, "corrected.csv", b"path,label\n1.png,a|b\n1.png,b|a\n")
    report = sm.relabel(tmp_path / "data", corrected, label_separator="|")
    assert report.relabelled == 1


def test_relabel_and_remove_list_every_edit(data: Path, tmp_path: Path) -> None:
    relabel(str(data), {"cat/000.png": ("dog",), "cat/001.png": ("dog",)})
    relabel(str(data), {"cat/000.png": ("cat",)})
    remove(str(data), keys=["cat/001.png"])
    storage = open_storage(data)
    edits = [
        (it.key, it.old_classes, it.new_classes)
        for it in RELABELLED.read_all(storage, read_manifest(storage))
    ]
    assert edits == [
        ("cat/000.png", ("cat",), ("dog",)),
        ("cat/001.png", ("cat",), ("dog",)),
        ("cat/000.png", ("dog",), ("cat",)),
    ]
    generations = read_manifest(storage).generations
    assert [(it.removed, it.relabelled) for it in generations] == [(0, 0), (0, 2), (0, 1), (1, 0)]
    compact(str(data), str(tmp_path / "new"))
    new = open_storage(tmp_path / "new")
    assert [it.key for it in RELABELLED.read_all(new, read_manifest(new))] == ["cat/000.png"] * 2


def test_compact_after_relabel_writes_the_bytes_of_a_conversion_with_the_new_classes(
    convert: Convert, tmp_path: Path
) -> None:
    for number in range(30):
        make_file(tmp_path / "photos", f"{number}.png", make_picture(number))

    def convert_list(output: Path, changed: set[int]) -> None:
        rows = [f"{it}.png,{'ab'[it % 2 ^ (it in changed)]}" for it in range(30)]
        file = make_file(tmp_path, "list.csv", "\n".join(["path,label", *rows]).encode())
        convert(source=str(tmp_path / "photos"), output=str(output), list=str(file), **OPTIONS)

    convert_list(tmp_path / "data", set())
    relabel(str(tmp_path / "data"), {f"{it}.png": ("ab"[it % 2 ^ 1],) for it in (3, 4, 17)})
    compact(str(tmp_path / "data"), str(tmp_path / "new"))
    convert_list(tmp_path / "at-once", {3, 4, 17})
    new, at_once = content_of(tmp_path / "new"), content_of(tmp_path / "at-once")
    assert new.pop(layout.RELABELLED).count(b"\n") == 3
    assert {name for name in new if new[name] != at_once.pop(name)} == {layout.MANIFEST}
    assert not at_once


def test_inspect_shows_the_edits_of_each_generation(data: Path) -> None:
    relabel(str(data), {"cat/000.png": ("dog",), "cat/001.png": ("dog",)})
    remove(str(data), keys=["cat/001.png"])
    lines = run("inspect", data)[1].splitlines()
    edits = [line.rpartition("excluded")[2] for line in lines if "  generation" in line]
    assert edits == ["", "; 2 relabelled", "; 1 removed"]


def test_python_api_refuses_what_is_no_class(data: Path, tmp_path: Path) -> None:
    wrong: Any
    for wrong in ({"cat/000.png": 3}, {"cat/000.png": [3]}, {3: "cat"}, {"cat/000.png": None}):
        with pytest.raises(UsageError, match="argument labels"):
            sm.relabel(data, wrong)
    with pytest.raises(UsageError, match="two forms of one key"):
        sm.relabel(data, {"cat/000.png": "dog", "cat%2F000.png": "cat"})
    with pytest.raises(UsageError, match="one class"):
        sm.relabel(data, {"cat/000.png": ["cat", "dog"]})
    with pytest.raises(UsageError, match="half of a surrogate pair"):
        sm.relabel(data, {"cat/000.png": ["\ud800"]})
    file = make_file(tmp_path, "list.csv", b"key,class\ncat/000.png,dog\n")
    with pytest.raises(UsageError, match="--label-separator is empty"):
        sm.relabel(data, file, label_separator="")
    assert sm.relabel(data, {"cat/000.png": "dog"}).relabelled == 1


def test_append_does_not_give_a_stored_image_the_class_of_another_content(
    convert: Convert, tmp_path: Path
) -> None:
    """A modified file keeps its stored image, so the class of the new content would be wrong."""
    for number in range(4):
        make_file(tmp_path, f"photos/{number}.png", make_picture(number))
    lines = ["path,label", "0.png,a", "1.png,b", "2.png,a", "3.png,b"]
    given = {"source": str(tmp_path / "photos"), "list": str(tmp_path / "list.csv")}
    make_file(tmp_path, "list.csv", "\n".join(lines).encode())
    convert(**given)
    make_file(tmp_path, "photos/1.png", make_picture(99))
    lines[2:4] = ["1.png,a", "2.png,b"]
    make_file(tmp_path, "list.csv", "\n".join(lines).encode())
    report = convert(**given, append=True)
    assert (report.corrected, report.differences.changed, report.differences.relabelled) == (
        1,
        1,
        2,
    )
    assert classes_of(tmp_path / "data") == {"0.png": "a", "1.png": "b", "2.png": "b", "3.png": "b"}
    assert convert(**given, append=True).corrected == 0


class TestAppend:
    @pytest.fixture(params=["relabelled", "compacted"])
    def dataset(self, request: pytest.FixtureRequest, data: Path, tmp_path: Path) -> Path:
        """Return a dataset in which the class of one image was corrected, twice."""
        relabel(str(data), {"cat/000.png": ("emu",)}, allow_new_classes=True)
        relabel(str(data), {"cat/000.png": ("dog",)})
        if request.param == "relabelled":
            return data
        compact(str(data), str(tmp_path / "new"))
        return tmp_path / "new"

    def relabelled(self, convert: Convert, dataset: Path) -> tuple[str, ...]:
        report = convert(output=str(dataset), append=True)
        assert report.differences.relabelled == len(report.relabelled) == report.corrected
        return report.relabelled

    def test_append_with_the_old_class_in_the_source_keeps_the_correction(
        self, dataset: Path, convert: Convert, source: Path
    ) -> None:
        make_file(source, "cat/more.png", make_picture(77))
        for _ in range(2):
            assert self.relabelled(convert, dataset) == ()
            assert classes_of(dataset)["cat/000.png"] == "dog"

    def test_append_with_the_new_class_in_the_source_has_no_difference(
        self, dataset: Path, convert: Convert, source: Path
    ) -> None:
        (source / "cat/000.png").rename(source / "dog/moved.png")
        assert self.relabelled(convert, dataset) == ()

    def test_append_with_a_third_class_in_the_source_applies_it_and_then_any_class(
        self, dataset: Path, convert: Convert, source: Path, tmp_path: Path
    ) -> None:
        make_file(source, "gnu/other.png", make_picture(78))
        convert(output=str(dataset), append=True, allow_new_classes=True)
        (source / "cat/000.png").rename(source / "gnu/moved.png")
        assert self.relabelled(convert, dataset) == ("gnu/moved.png",)
        assert classes_of(dataset)["cat/000.png"] == "gnu"
        assert self.relabelled(convert, dataset) == ()
        compact(str(dataset), str(tmp_path / "compacted"))
        assert not (tmp_path / "compacted" / layout.RELABELLED).exists()
        for each in (dataset, tmp_path / "compacted"):
            (source / "gnu/moved.png").rename(source / "cat/000.png")
            assert self.relabelled(convert, each) == ("cat/000.png",)
            assert classes_of(each)["cat/000.png"] == "cat"
            assert list(verify(each, decode=True)) == []
            (source / "cat/000.png").rename(source / "gnu/moved.png")

    def test_append_forgets_the_corrections_of_an_image_that_was_missing(
        self, convert: Convert, source: Path, tmp_path: Path
    ) -> None:
        def append(classes: dict[str, str]) -> Report:
            rows = [f"{key},{name}" for key, name in classes.items()]
            file = make_file(tmp_path, "list.csv", "\n".join(["path,label", *rows]).encode())
            return convert(list=str(file), append=True, accept_gone=True, max_gone=1.0)

        others = {"cat/001.png": "cat", "dog/001.png": "dog"}
        append({"cat/000.png": "cat", **others})
        relabel(str(tmp_path / "data"), {"cat/000.png": ("dog",)})
        assert append(others).removed == 1
        assert append({"cat/000.png": "dog", **others}).counts.stored == 1
        compact(str(tmp_path / "data"), str(tmp_path / "new"))
        assert not (tmp_path / "new" / layout.RELABELLED).exists()
        assert append({"cat/000.png": "cat", **others}).corrected == 1
        assert classes_of(tmp_path / "data")["cat/000.png"] == "cat"
