"""Whole conversions: what is stored, refused and foretold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from records.dataset import open_dataset
from records.errors import InputNotFoundError, OutputError, ShardmillError, UsageError
from records.format import layout
from records.text.keys import key_to_text
from tests.pipelines.conftest import Convert, manifest_of, rejects_of
from tests.pipelines.pictures import (
    content_of,
    make_file,
    make_folders,
    make_picture,
)


def test_convert_valid_images_are_stored_byte_for_byte(
    convert: Convert, source: Path, output: Path
) -> None:
    report = convert(test=0.3)
    assert report.status == "converted"
    dataset = open_dataset(output)
    assert dataset.labels == ("cat", "dog")
    stored = {record.key: record for split in dataset.values() for record in split}
    files = {path.relative_to(source).as_posix(): path for path in source.rglob("*.png")}
    assert stored.keys() == files.keys()
    for key, path in files.items():
        assert stored[key].image == path.read_bytes()
        assert stored[key].class_name == path.parent.name
    assert not (output / layout.WORK_FOLDER).exists()


def test_convert_output_has_the_documented_files(convert: Convert, output: Path) -> None:
    convert(test=5, shards=2)
    assert sorted(content_of(output)) == [
        "README.md",
        "croissant.json",
        "dataset.json",
        "dataset_info.json",
        "features.json",
        "index/test-00000-of-00001.parquet",
        "index/train-00000-of-00002.parquet",
        "index/train-00001-of-00002.parquet",
        "labels.txt",
        "rejects.jsonl",
        "skipped.jsonl",
        "test-00000-of-00001.tfrecord",
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    assert (output / layout.LABELS).read_text() == "0:cat\n1:dog\n"


@pytest.mark.parametrize(
    "key",
    [
        b"caf\xff/x.png",
        b"a b/[1] \xe2\x82\xac.png",
        b"100%/50%.png",
        b"new/a\nb.png",
        b"-x/-y.png",
        b"deep/a/b/c/d.png",
        "\u202eevil/\u2028.png".encode(),
    ],
)
def test_convert_file_name_of_any_bytes_becomes_the_record_key(
    convert: Convert, source: Path, output: Path, key: bytes
) -> None:
    make_file(source, key)
    convert()
    keys = {record.key for record in open_dataset(output)["train"]}
    assert key_to_text(key) in keys


def test_convert_wrong_extension_uses_format_of_content(
    convert: Convert, source: Path, output: Path
) -> None:
    make_file(source, "cat/really.jpg", make_picture(1, kind="PNG"))
    make_file(source, "cat/really.png", make_picture(2, kind="JPEG"))
    make_file(source, "cat/none", make_picture(3, kind="GIF"))
    convert()
    formats = {record.key: record.format for record in open_dataset(output)["train"]}
    assert formats["cat/really.jpg"] == "png"
    assert formats["cat/really.png"] == "jpeg"
    assert formats["cat/none"] == "png"


def test_convert_split_folders_become_the_splits(
    convert: Convert, tmp_path: Path, output: Path
) -> None:
    split = tmp_path / "split"
    make_folders(split / "Train", cat=8, dog=8)
    make_folders(split / "valid", cat=2, cow=1)
    report = convert(source=str(split), test=3)
    assert report.layout == "splits"
    assert {name: facts.images for name, facts in report.splits.items()} == {
        "train": 13, "test": 3, "validation": 3,
    }  # fmt: skip
    dataset = open_dataset(output)
    assert dataset.labels == ("cat", "cow", "dog")
    assert all(record.key.startswith("valid/") for record in dataset["validation"])
    assert all(record.key.startswith("Train/") for record in dataset["test"])
    with pytest.raises(UsageError, match="omit --validation"):
        convert(source=str(split), output=str(output) + "2", validation=0.5)


def test_convert_stratified_writes_split_thresholds_to_manifest(
    convert: Convert, output: Path
) -> None:
    convert(test=3, validation=0.3, stratify=True)
    assert [cut_off.label for cut_off in manifest_of(output).thresholds] == [0, 1]


def test_convert_image_list_with_urls_stores_listed_images(
    convert: Convert, source: Path, output: Path, tmp_path: Path, memory: Any
) -> None:
    memory.pipe_file("/pool/m.png", make_picture(77))
    rows = [
        "path,label,split",
        "cat/000.png,small,test",
        "dog/000.png,big,",
        "memory://pool/m.png,big,",
        "cat/none.png,small,",
    ]
    path = make_file(tmp_path, "list.csv", "\r\n".join(rows).encode())
    report = convert(list=str(path), allow_url=True)
    dataset = open_dataset(output)
    assert [(r.key, r.class_name) for r in dataset["test"]] == [("cat/000.png", "small")]
    assert {r.key for r in dataset["train"]} == {"dog/000.png", "memory://pool/m.png"}
    assert rejects_of(output) == {"cat/none.png": "unreadable"}
    assert report.counts.found == 4


def test_convert_read_only_source_is_unchanged(convert: Convert, source: Path) -> None:
    before = content_of(source)
    for path in [*source.rglob("*"), source]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    times = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    assert convert(test=0.3).status == "converted"
    assert content_of(source) == before
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == times


class TestWrongIdeas:
    def error(self, convert: Convert, **options: Any) -> ShardmillError:
        """The same error from a dry run and a real one, neither of which writes anything."""
        texts = []
        for dry_run in (True, False):
            with pytest.raises(ShardmillError) as caught:
                convert(**options, dry_run=dry_run)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]
        assert texts[0].count("\n") == 0
        return caught.value

    def test_convert_source_not_found_is_refused(self, convert: Convert, output: Path) -> None:
        assert isinstance(self.error(convert, source="/nowhere"), InputNotFoundError)
        assert not output.exists()

    def test_convert_empty_source_is_refused_with_hint(
        self, convert: Convert, tmp_path: Path, output: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        error = self.error(convert, source=str(tmp_path / "empty"))
        assert error.exit_code == 66
        assert "one folder per class" in str(error)
        assert not output.exists()

    def test_convert_class_folders_without_images_are_refused(
        self, convert: Convert, tmp_path: Path
    ) -> None:
        (tmp_path / "classes" / "cat").mkdir(parents=True)
        make_file(tmp_path, "classes/dog/notes.txt", b"text")
        error = self.error(convert, source=str(tmp_path / "classes"))
        assert (error.exit_code, error.got) == (66, "1 non-image file, 0 excluded images")

    def test_convert_archive_of_unknown_format_is_refused_with_extract_hint(
        self, convert: Convert, tmp_path: Path
    ) -> None:
        path = make_file(tmp_path, "photos.rar", b"")
        assert "extract it" in str(self.error(convert, source=str(path)))

    def test_convert_output_inside_source_is_refused_with_status_2(
        self, convert: Convert, source: Path
    ) -> None:
        assert self.error(convert, output=str(source / "data")).exit_code == 2
        assert self.error(convert, output=str(source)).exit_code == 2
        assert sorted(path.name for path in source.iterdir()) == ["cat", "dog"]

    def test_convert_unknown_runner_or_flag_is_refused_with_status_2(
        self, convert: Convert, output: Path
    ) -> None:
        assert self.error(convert, runner="NoSuchRunner").exit_code == 2
        assert self.error(convert, runner="no.such.Runner").exit_code == 2
        assert self.error(convert, beam_flags=("--no_such_flag",)).exit_code == 2
        assert self.error(convert, beam_flags=("--direct_num_workers=many",)).exit_code == 2
        assert self.error(convert, beam_flags=("--runner=FlinkRunner",)).exit_code == 2
        assert self.error(convert, beam_flags=("--direct_num_workers=1", "x")).exit_code == 2
        assert not output.exists()

    def test_convert_empty_split_is_refused(self, convert: Convert, output: Path) -> None:
        assert "test would be empty" in str(self.error(convert, test=0.0001))
        assert not output.exists()


class TestDryRun:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"test": 0.3, "validation": 4},
            {"test": 0.4, "stratify": True, "shards": 3},
            {"classes": ("dog",)},
        ],
    )
    def test_convert_dry_run_predicts_counts_and_plan_digest(
        self, convert: Convert, output: Path, options: dict[str, Any]
    ) -> None:
        foretold = convert(**options, dry_run=True)
        assert not output.exists()
        assert foretold.status == "planned"
        done = convert(**options)
        assert (foretold.counts, foretold.plan_digest) == (done.counts, done.plan_digest)
        assert (foretold.classes, foretold.layout) == (done.classes, done.layout)
        assert {split: (f.images, f.shards) for split, f in foretold.splits.items()} == {
            split: (f.images, f.shards) for split, f in done.splits.items()
        }

    def test_convert_dry_run_finished_dataset_is_unchanged(
        self, convert: Convert, output: Path
    ) -> None:
        convert()
        before = content_of(output)
        assert convert(dry_run=True).status == "nothing-to-do"
        with pytest.raises(OutputError, match="different plan"):
            convert(dry_run=True, seed=1)
        assert content_of(output) == before


def test_convert_default_options_from_python_stores_all_images(source: Path, output: Path) -> None:
    report = convert(ConvertOptions(source=str(source), output=str(output)))
    assert report.counts.stored == 21
