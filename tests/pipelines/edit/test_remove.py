"""Removal of records: files, errors, and the view of every reader."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import shardmill as sm
from pipelines.compact import compact
from pipelines.edit import relabel, remove
from pipelines.prune import prune
from pipelines.rollback import rollback
from records import open_dataset, verify
from records.errors import (
    CorruptDataError,
    InputNotFoundError,
    LockedError,
    TooManyRejectsError,
    UsageError,
)
from records.format import layout
from records.format.edits import REMOVED
from records.format.manifest import read_manifest
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture

OPTIONS: dict[str, Any] = {"test": 0.3, "shards": 3, "seed": 2}


@pytest.fixture
def data(convert: Convert, output: Path) -> Path:
    convert(**OPTIONS)
    return output


@pytest.fixture
def grown(data: Path, convert: Convert, source: Path) -> Path:
    """Return a dataset of two generations."""
    for number in range(8):
        make_file(source, f"cat/new{number}.png", make_picture(900 + number))
    convert(append=True)
    return data


def keys_of(dataset: Path | str) -> set[str]:
    return {record.key for split in open_dataset(dataset).values() for record in split}


def files_with(folder: Path, content: bytes) -> set[str]:
    """Return the names of the files that contain some bytes."""
    return {name for name, data in content_of(folder).items() if content in data}


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(shardmill, list(map(str, arguments)))
    error = result.exception
    return getattr(error, "exit_code", result.exit_code), f"{result.stdout}{error or ''}"


def test_remove_writes_a_generation_without_the_records(grown: Path) -> None:
    keys = ["cat/000.png", "dog/003.png", "cat/new2.png"]
    before, files = keys_of(grown), content_of(grown)
    manifest = read_manifest(open_storage(grown))
    report = remove(str(grown), keys=keys)
    assert (report.status, report.generation, report.removed) == ("removed", 3, 3)
    assert keys_of(grown) == before - {*keys}
    assert list(verify(grown, decode=True)) == []
    after = read_manifest(open_storage(grown))
    assert after.generations[:2] == manifest.generations
    assert after.generations[2].removed == 3
    assert (after.thresholds, after.settings) == (manifest.thresholds, manifest.settings)
    changed = {name for name, content in files.items() if content_of(grown)[name] != content}
    assert changed <= {
        "README.md", "croissant.json", "dataset.json", "dataset_info.json",
        "generations/0002/dataset_info.json",
    }  # fmt: skip


def test_remove_reports_all_shards_that_contain_the_records(grown: Path) -> None:
    image = open_dataset(grown)["train"][0]
    other = next(r for r in open_dataset(grown)["train"] if r.key != image.key)
    remove(str(grown), keys=[other.key])
    report = remove(str(grown), keys=[image.key])
    storage = open_storage(grown)
    found = {r.key: r for r in REMOVED.read_all(storage, read_manifest(storage))}
    assert [*found] == [other.key, image.key]
    assert report.old_shards == tuple(sorted(files_with(grown, image.image)))
    assert len(report.old_shards) == 2
    assert found[image.key].class_name == image.class_name
    assert found[image.key].bytes == len(image.image)


def test_remove_reports_a_changed_old_shard_that_prune_has_kept(grown: Path) -> None:
    image = open_dataset(grown)["train"][0]
    (old,) = remove(str(grown), keys=[image.key]).old_shards
    content = (grown / old).read_bytes()
    (grown / old).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert prune(str(grown), older_than="0").kept == (old,)
    assert files_with(grown, image.image) == {old}
    assert [(found.kind, found.file) for found in verify(grown)] == [("unexpected", old)]
    for again in (remove(str(grown), keys=[image.key]), compact(str(grown), in_place=True)):
        assert (again.old_shards, again.next) == ((old,), ())
    keys = grown.parent / "keys.txt"
    keys.write_text(f"{image.key}\n")
    _, output = run("remove", grown, "--keys", keys)
    assert f"{old}\n  to erase   remove these files by hand" in output
    (grown / old).unlink()
    assert remove(str(grown), keys=[image.key]).old_shards == ()


def test_remove_reports_the_shards_of_every_content_that_a_key_had(
    data: Path, convert: Convert, source: Path
) -> None:
    contents = [(source / "cat/001.png").read_bytes()]
    (source / "cat/001.png").unlink()
    convert(append=True, accept_gone=True)
    make_file(source, "cat/001.png", make_picture(777))
    contents.append((source / "cat/001.png").read_bytes())
    convert(append=True)
    first = remove(str(data), keys=["cat/001.png"])
    holders = {name for content in contents for name in files_with(data, content)}
    assert len(holders) == 2
    assert set(first.old_shards) == holders
    assert set(remove(str(data), keys=["cat/001.png"]).old_shards) == holders


def test_remove_keeps_out_an_image_that_accept_gone_removed(
    data: Path, convert: Convert, source: Path, tmp_path: Path
) -> None:
    path, key = source / "cat/001.png", "cat/001.png"
    content = path.read_bytes()
    path.unlink()
    convert(append=True, accept_gone=True)
    before = content_of(data)
    planned = remove(str(data), keys=[key], dry_run=True)
    assert (planned.status, planned.kept_out, content_of(data)) == ("planned", 1, before)
    report = remove(str(data), keys=[key])
    assert (report.status, report.generation, report.removed) == ("removed", 3, 0)
    assert (report.removed_before, report.kept_out, report.shards_written) == (1, 1, 0)
    assert report.old_shards == tuple(sorted(files_with(data, content)))
    make_file(source, key, content)
    make_file(source, "dog/copy.png", content)
    added = convert(append=True, max_gone=1.0)
    assert (added.status, added.counts.stored) == ("nothing-to-do", 0)
    assert "2 files not added: removed from the dataset" in " ".join(added.notes)
    again = remove(str(data), keys=[key, "dog/000.png"])
    assert (again.removed, again.removed_before, again.kept_out) == (1, 1, 0)
    compact(str(data), str(tmp_path / "new"))
    for dataset in (data, tmp_path / "new"):
        assert list(verify(dataset, decode=True)) == []
        assert convert(append=True, output=str(dataset)).status == "nothing-to-do"


def test_rollback_before_an_image_was_kept_out_lets_it_return(
    data: Path, convert: Convert, source: Path
) -> None:
    path, key = source / "cat/001.png", "cat/001.png"
    content = path.read_bytes()
    path.unlink()
    convert(append=True, accept_gone=True)
    remove(str(data), keys=[key])
    make_file(source, key, content)
    assert convert(append=True).status == "nothing-to-do"
    report = rollback(str(data))
    assert (report.status, report.generation) == ("rolled-back", 4)
    assert rollback(str(data), to=2).status == "nothing-to-do"
    assert convert(append=True).counts.stored == 1
    assert list(verify(data)) == []


def test_edits_without_effect_keep_the_unfinished_run_of_another_command(
    data: Path, convert: Convert, source: Path, logged: pytest.LogCaptureFixture
) -> None:
    make_file(source, "cat/new.png", make_picture(900))
    for number in range(30):
        make_file(source, f"cat/bad{number}.png", CORRUPT)
    with pytest.raises(TooManyRejectsError):
        convert(append=True)
    assert remove(str(data), where="width > 1000").status == "nothing-to-do"
    assert relabel(str(data), {"cat/000.png": ("cat",)}).status == "nothing-to-do"
    assert compact(str(data), in_place=True).status == "nothing-to-do"
    assert not any("unfinished run" in line for line in logged.messages)
    report = convert(append=True, quarantine=True)
    assert (report.counts.stored, report.shards_kept > 0) == (1, True)
    assert list(verify(data)) == []


def test_remove_logs_that_it_discards_the_unfinished_run_of_another_command(
    data: Path, convert: Convert, source: Path, logged: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        make_file(source, f"cat/bad{number}.png", CORRUPT)
    with pytest.raises(TooManyRejectsError):
        convert(append=True)
    assert remove(str(data), keys=["cat/000.png"]).removed == 1
    assert f"{data}: the unfinished run of `shardmill convert` is removed" in logged.messages
    assert list(verify(data)) == []


def test_remove_command_reads_keys_from_stdin(data: Path) -> None:
    call = ["remove", str(data), "--keys", "-", "--json"]
    result = CliRunner().invoke(shardmill, call, input=b"cat/000.png\r\n\ndog/000.png\n")
    assert json.loads(result.stdout)["removed_keys"] == ["cat/000.png", "dog/000.png"]


@pytest.mark.parametrize("quarantine", [False, True])
def test_append_that_would_leave_no_record_publishes_nothing(
    data: Path, convert: Convert, source: Path, quarantine: bool
) -> None:
    before, manifest = keys_of(data), read_manifest(open_storage(str(data)))
    for file in source.rglob("*.png"):
        file.unlink()
    given: dict[str, Any] = {"append": True, "accept_gone": True, "max_gone": 1.0}
    make_file(source, "cat/bad.png", CORRUPT)
    with pytest.raises(TooManyRejectsError):
        convert(**given, quarantine=quarantine)
    convert(append=True, max_gone=1.0)
    with pytest.raises(UsageError, match="no record of the dataset would be left"):
        convert(**given)
    assert keys_of(data) == before
    assert read_manifest(open_storage(str(data))).splits.keys() == manifest.splits.keys()
    make_file(source, "cat/good.png", make_picture(779))
    convert(**given)
    assert keys_of(data) == {"cat/good.png"}
    assert list(verify(data, decode=True)) == []


def test_remove_same_command_again_has_nothing_to_do(data: Path) -> None:
    first = remove(str(data), keys=["cat/000.png"])
    before = content_of(data)
    again = remove(str(data), keys=["cat/000.png"])
    assert (again.status, again.removed, again.removed_before) == ("nothing-to-do", 0, 1)
    assert again.old_shards == first.old_shards
    assert content_of(data) == before


def test_remove_condition_without_match_writes_nothing(data: Path) -> None:
    before = content_of(data)
    report = remove(str(data), where="width > 1000")
    assert (report.status, report.removed, report.next) == ("nothing-to-do", 0, ())
    assert content_of(data) == before


def test_remove_dry_run_writes_nothing(data: Path) -> None:
    before = content_of(data)
    report = remove(str(data), keys=["cat/000.png", "cat/001.png"], dry_run=True)
    assert (report.status, report.removed, report.generation) == ("planned", 2, 2)
    assert report.old_shards
    assert content_of(data) == before


def test_remove_unknown_keys_are_named_and_nothing_is_written(data: Path) -> None:
    before = content_of(data)
    keys = ["cat/000.png", *(f"cat/{number}.jpg" for number in range(7))]
    with pytest.raises(InputNotFoundError, match="7 keys not found") as found:
        remove(str(data), keys=keys)
    assert "cat/0.jpg, cat/1.jpg, cat/2.jpg, cat/3.jpg, cat/4.jpg and 2 more" in str(found.value)
    assert content_of(data) == before
    report = remove(str(data), keys=keys, ignore_missing=True)
    assert (report.removed, report.missing) == (1, 7)


def test_remove_every_record_is_refused(data: Path) -> None:
    before = content_of(data)
    with pytest.raises(UsageError, match="no record of the dataset would be left"):
        remove(str(data), where="width > 0")
    assert content_of(data) == before


def test_remove_every_record_of_a_split_drops_the_split(data: Path) -> None:
    remove(str(data), where="split == 'test'")
    assert [*open_dataset(data)] == ["train"]
    assert list(verify(data)) == []
    compact(str(data), f"{data}-new")
    assert [*open_dataset(f"{data}-new")] == ["train"]
    assert list(verify(f"{data}-new")) == []


def test_remove_every_record_of_a_class_keeps_its_label(data: Path) -> None:
    remove(str(data), where="class == 'cat'")
    dataset = open_dataset(data)
    assert dataset.labels == ("cat", "dog")
    assert {record.label for split in dataset.values() for record in split} == {1}


def test_remove_keys_that_are_not_utf_8_or_have_a_percent_sign(
    convert: Convert, source: Path, output: Path
) -> None:
    make_file(source, b"cat/a\xff.png", make_picture(70))
    make_file(source, "cat/100%.png", make_picture(71))
    make_file(source, "cat/été\n.png", make_picture(72))
    convert(**OPTIONS)
    keys = ["cat/a%FF.png", "cat/100%25.png", "cat/été%0A.png"]
    assert remove(str(output), keys=keys).removed == 3
    assert len(keys_of(output)) == 21


def test_remove_file_of_keys_may_have_blank_lines_and_carriage_returns(
    data: Path, tmp_path: Path
) -> None:
    file = make_file(tmp_path, "keys.txt", b"\r\ncat/000.png\r\n\ndog/001.png\ncat/000.png")
    code, text = run("remove", data, "--keys", file)
    assert code == 0, text
    assert "2 images removed in generation 2" in text
    assert "shardmill prune" in text
    assert keys_of(data).isdisjoint({"cat/000.png", "dog/001.png"})


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "remove needs either --keys or --where"),
        (["--keys", "KEYS", "--where", "width < 3"], 2, "remove needs either --keys or --where"),
        (["--keys", "missing.txt"], 66, "file not found"),
        (["--keys", "KEYS"], 66, "1 key not found in the dataset, got cat/nine.png"),
        (["--where", "len(key) < 3"], 2, "unknown part, got len(key)"),
        (["--where", "width < 3", "--json"], 0, '"status": "nothing-to-do"'),
        (["--where", "width < 3"], 0, "nothing to do, no image needs an edit"),
    ],
)
def test_remove_command_reports_in_one_line(
    data: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    keys = make_file(tmp_path, "keys.txt", b"cat/nine.png")
    found = run("remove", data, *(keys if word == "KEYS" else word for word in arguments))
    assert found[0] == code, found
    assert message in found[1]


def test_remove_json_is_the_report(data: Path) -> None:
    code, text = run("remove", data, "--where", "key == 'cat/000.png'", "--json")
    report = json.loads(text)
    assert code == 0
    assert (report["status"], report["removed"]) == ("removed", 1)
    assert report["removed_keys"] == ["cat/000.png"]
    assert report["target"] == str(data)
    assert sum(split["images"] for split in report["splits"].values()) == 20
    assert report["next"] == [f"shardmill prune {data} --older-than 0"]


def test_remove_from_adopted_dataset_is_refused(data: Path, tmp_path: Path) -> None:
    shard = next(data.glob("train-*.tfrecord"))
    make_file(tmp_path, "adopted/train.tfrecord", shard.read_bytes())
    sm.adopt(tmp_path / "adopted" / "train.tfrecord", tmp_path / "adopted")
    code, text = run("remove", tmp_path / "adopted", "--where", "width < 3")
    assert code == 2
    assert "adopted dataset" in text
    assert f"run `shardmill compact {tmp_path}/adopted {tmp_path}/adopted-compacted`" in text


def test_remove_in_use_by_another_run_is_refused(data: Path) -> None:
    with open_storage(data).lock(), pytest.raises(LockedError):
        remove(str(data), keys=["cat/000.png"])


def test_remove_damaged_record_of_an_affected_shard_publishes_nothing(data: Path) -> None:
    first, second = (record.key for record in open_dataset(data)["train"][:2])
    shard = data / open_dataset(data)["train"].info.shards[0].name
    content = bytearray(shard.read_bytes())
    content[60] ^= 1
    shard.write_bytes(content)
    manifest = (data / layout.MANIFEST).read_bytes()
    with pytest.raises(CorruptDataError):
        remove(str(data), keys=[second])
    assert (data / layout.MANIFEST).read_bytes() == manifest
    assert remove(str(data), keys=[first]).removed == 1  # the damaged record itself
    assert list(verify(f"{data}@2")) == []
    assert [data / it.file for it in verify(data)] == [shard]  # generation 1 still has it


def test_python_api_takes_keys_or_a_file(data: Path, tmp_path: Path) -> None:
    assert sm.remove(data, ["cat/000.png"]).removed == 1
    file = make_file(tmp_path, "keys.txt", b"cat/001.png\n")
    assert sm.remove(data, file).removed == 1
    assert sm.remove(data, where="key == 'cat/002.png'").removed == 1
    keys: Any = (key for key in ["cat/003.png"])
    assert sm.remove(data, keys).removed == 1
    wrong: Any = [3]
    with pytest.raises(UsageError, match="argument keys"):
        sm.remove(data, wrong)
    with pytest.raises(UsageError, match="half of a surrogate pair"):
        sm.remove(data, {"\ud800": 0}.keys())  # type: ignore[arg-type]


def test_remove_from_url_is_seen_by_readers(convert: Convert, memory: Any) -> None:
    convert(**OPTIONS, output="memory://data")
    before = keys_of("memory://data")
    remove("memory://data", keys=["cat/000.png"])
    assert keys_of("memory://data") == before - {"cat/000.png"}
    assert list(verify("memory://data", decode=True)) == []


class TestCompact:
    def test_compact_after_removal_writes_the_bytes_of_a_conversion_of_the_others(
        self, grown: Path, convert: Convert, source: Path, tmp_path: Path
    ) -> None:
        keys = ["cat/001.png", "cat/new5.png", "dog/008.png"]
        images = [(source / key).read_bytes() for key in keys]
        remove(str(grown), keys=keys[:2])
        remove(str(grown), keys=keys[2:])
        compact(str(grown), str(tmp_path / "new"))
        for key in keys:
            (source / key).unlink()
        convert(**OPTIONS, output=str(tmp_path / "at-once"))
        new, at_once = content_of(tmp_path / "new"), content_of(tmp_path / "at-once")
        assert new.pop(layout.REMOVED).count(b"\n") == 3
        assert new.keys() == at_once.keys()
        differing = {name for name in new if new[name] != at_once[name]}
        assert differing == {layout.MANIFEST}  # it has the digest of the list
        assert list(verify(tmp_path / "new", decode=True)) == []
        for image in images:
            assert files_with(grown, image)
            assert files_with(tmp_path / "new", image) == set()

    def test_reject_that_was_stored_and_removed_is_not_a_reject(
        self, data: Path, convert: Convert, source: Path, tmp_path: Path
    ) -> None:
        make_file(source, "cat/bad.png", CORRUPT)
        convert(append=True)
        make_file(source, "cat/bad.png", make_picture(9))
        convert(append=True)
        remove(str(data), keys=["cat/bad.png"])
        assert compact(str(data), str(tmp_path / "new")).counts.rejected == 0
        assert convert(append=True).status == "nothing-to-do"


class TestAppend:
    @pytest.fixture(params=["removed", "compacted"])
    def dataset(self, request: pytest.FixtureRequest, grown: Path, tmp_path: Path) -> Path:
        """Return a dataset from which two images were removed."""
        remove(str(grown), keys=["cat/001.png", "cat/new5.png"])
        if request.param == "removed":
            return grown
        compact(str(grown), str(tmp_path / "new"))
        return tmp_path / "new"

    def append(self, convert: Convert, dataset: Path) -> tuple[str, list[str]]:
        before = keys_of(dataset)
        report = convert(output=str(dataset), append=True)
        assert report.differences.gone == report.differences.changed == 0
        assert before <= keys_of(dataset)
        notes = [note for note in report.notes if "not added" in note]
        return report.status, [*sorted(keys_of(dataset) - before), *notes]

    def test_append_does_not_add_removed_images(self, dataset: Path, convert: Convert) -> None:
        note = (
            "2 files not added: removed from the dataset with `shardmill remove`; the first:"
            " cat/001.png"
        )
        for _ in range(2):
            assert self.append(convert, dataset) == ("nothing-to-do", [note])

    def test_append_does_not_add_renamed_copied_or_changed_removed_images(
        self, dataset: Path, convert: Convert, source: Path
    ) -> None:
        (source / "cat/001.png").rename(source / "dog/renamed.png")
        make_file(source, "dog/copy.png", (source / "cat/new5.png").read_bytes())
        make_file(source, "cat/new5.png", make_picture(31))
        make_file(source, "cat/other.png", make_picture(32))
        status, found = self.append(convert, dataset)
        assert status == "converted"
        assert found[0] == "cat/other.png"
        assert found[1].startswith("3 files not added")
        assert len(found) == 2

    def test_append_removed_image_that_is_corrupt_now_is_no_reject(
        self, dataset: Path, convert: Convert, source: Path
    ) -> None:
        make_file(source, "cat/001.png", b"")
        report = convert(output=str(dataset), append=True)
        assert (report.status, report.counts.rejected) == ("nothing-to-do", 0)

    def test_append_copy_of_a_stored_image_stays_its_renamed_file(
        self, data: Path, convert: Convert, source: Path
    ) -> None:
        make_file(source, "cat/twin.png", (source / "cat/000.png").read_bytes())
        convert(append=True)
        remove(str(data), keys=["cat/twin.png"])
        (source / "cat/twin.png").unlink()
        (source / "cat/000.png").rename(source / "cat/moved.png")
        report = convert(append=True)
        assert report.differences.renamed == 1
        assert not any("not added" in note for note in report.notes)


def read_with_tfds(folders: Iterable[Path]) -> dict[str, set[str]]:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directories([str(folder) for folder in folders])
    return {
        split: {
            example["image/filename"].decode()
            for example in tfds.as_numpy(builder.as_dataset(split=split))
        }
        for split in builder.info.splits
    }


def test_every_reader_skips_removed_images_at_once(grown: Path, convert: Convert) -> None:
    tf = pytest.importorskip("tensorflow")
    remove(str(grown), keys=["cat/001.png", "cat/new5.png"])
    remove(str(grown), where="'new' in key and key not in ('cat/new1.png', 'cat/new2.png')")
    dataset = open_dataset(grown)
    expected = {name: {record.key for record in split} for name, split in dataset.items()}
    assert sum(map(len, expected.values())) == 21 - 1 + 2
    for name, keys in expected.items():
        images = tf.data.TFRecordDataset(list(dataset.files(name)))
        filename = {"image/filename": tf.io.FixedLenFeature([], tf.string)}
        found = images.map(lambda record, parts=filename: tf.io.parse_single_example(record, parts))
        read = [example["image/filename"].numpy().decode() for example in found]
        assert sorted(read) == sorted(keys)
        batches = sm.as_tf_dataset(grown, name, image_size=8, batch_size=4)
        assert sum(len(labels) for _, labels in batches) == len(keys)
    folders = {Path(file).parent for file in dataset.files()}
    assert read_with_tfds(sorted(folders)) == expected
    generations = sorted(file.parent for file in grown.rglob("dataset_info.json"))
    assert read_with_tfds(generations) == expected
