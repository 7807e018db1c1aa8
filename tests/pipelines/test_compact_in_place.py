"""Compaction into a new generation of the same dataset."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import shardmill as sm
from pipelines.clean import clean
from pipelines.compact import compact
from pipelines.edit import relabel, remove
from pipelines.prune import prune
from pipelines.rollback import rollback
from records import open_dataset, verify
from records.errors import InputNotFoundError, LockedError, OutputError, UsageError
from records.format import layout
from records.format.layout import index_name, parent
from records.format.manifest import read_manifest, shard_names
from records.generations import read_provenance
from records.history import diff, log
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.pipelines.conftest import Convert, manifest_of
from tests.pipelines.history.grown import Grown, keys_at
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture

KEYS = ["cat/1-0.png", "dog/1.png", "cat/3-1.png"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    """Return a dataset of three generations, three images of which were removed in a fourth."""
    folder = tmp_path_factory.mktemp("template")
    made = Grown(folder / "source", str(folder / "data"))
    made.append(["cat/1-0.png", "cat/1-1.png", "cat/1-2.png", "dog/1.png"], shards=2)
    made.grow(2)
    remove(made.location, keys=KEYS)
    return made


@pytest.fixture
def grown(template: Grown, tmp_path: Path) -> Grown:
    """Return a copy of the template."""
    shutil.copytree(template.source.parent, tmp_path, dirs_exist_ok=True)
    return Grown(tmp_path / "source", str(tmp_path / "data"), dict(template.keys))


def shards_of(location: str) -> dict[str, bytes]:
    """Return the content of each shard by its name without the folder, in the order of reading."""
    storage = open_storage(location)
    infos = [shard for split in read_manifest(storage).splits.values() for shard in split.shards]
    return {shard.name.rpartition("/")[2]: storage.read(shard.name) for shard in infos}


def test_compact_in_place_writes_the_shards_of_a_new_dataset(grown: Grown, tmp_path: Path) -> None:
    before = {number: keys_at(grown.at(number)) for number in range(1, 5)}
    compact(grown.location, str(tmp_path / "new"))
    planned = compact(grown.location, in_place=True, dry_run=True)
    report = sm.compact(grown.location, in_place=True, message="full-sized shards")
    assert (planned.status, report.status) == ("planned", "converted")
    assert (report.generation, planned.counts, report.counts.stored) == (5, report.counts, 11)
    assert shards_of(grown.location) == shards_of(str(tmp_path / "new"))
    manifest = manifest_of(Path(grown.location))
    assert {parent(name) for name in shard_names(manifest)} == {"generations/0005"}
    assert sum(shard.startswith("train") for shard in shards_of(grown.location)) == 2
    for number in range(1, 6):
        assert list(verify(grown.at(number), decode=True)) == []
    assert {number: keys_at(grown.at(number)) for number in before} == before
    assert len(diff(grown.at(4), grown.location).changes) == 0
    entry = log(grown.location).generations[0]
    assert (entry.added, entry.removed, entry.relabelled, entry.records) == (0, 0, 0, 11)
    provenance = read_provenance(open_storage(grown.location), 5)
    assert provenance is not None
    assert (provenance.command, provenance.source) == ("compact --in-place", None)
    assert provenance.message == "full-sized shards"
    before_again = content_of(Path(grown.location))
    again = compact(grown.location, in_place=True)
    assert (again.status, again.generation, again.seconds) == ("nothing-to-do", 5, 0)
    assert content_of(Path(grown.location)) == before_again


def test_compact_in_place_of_a_new_dataset_has_nothing_to_do(
    convert: Convert, output: Path
) -> None:
    convert(test=0.3)
    before = content_of(output)
    assert compact(str(output), in_place=True).status == "nothing-to-do"
    assert content_of(output) == before


def test_compact_in_place_reports_no_reject_of_earlier_generations(
    convert: Convert, output: Path, source: Path
) -> None:
    make_file(source, "dog/bad.png", CORRUPT)
    convert(test=0.3, append=True)
    make_file(source, "cat/new.png", make_picture(99))
    convert(append=True)
    report = compact(str(output), in_place=True)
    assert (report.counts.stored, report.counts.rejected, report.first_rejects) == (22, 0, ())
    assert (output / layout.generation_path(layout.REJECTS, 3)).read_bytes() == b""


def test_compact_in_place_keeps_edits_and_fingerprints_for_later_appends(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    relabel(grown.location, {"cat/1-1.png": ("dog",)})
    compact(grown.location, in_place=True)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.incremental.hashing.read_image", lambda *_, **__: 1 / 0)
        for reject in grown.source.rglob("bad*"):
            reject.unlink()
        report = grown.append([])
    assert (report.status, report.relabelled, report.renamed) == ("nothing-to-do", (), ())
    report = grown.append(["cat/new.png"])
    assert (report.counts.stored, report.generation) == (1, 7)
    classes = {r.key: r.class_name for s in open_dataset(grown.location).values() for r in s}
    assert classes["cat/1-1.png"] == "dog"
    assert not classes.keys() & {*KEYS}
    assert remove(grown.location, keys=KEYS).removed_before == 3
    assert list(verify(grown.location)) == []


def test_compact_in_place_reports_shards_with_removed_records_until_prune(grown: Grown) -> None:
    planned = compact(grown.location, in_place=True, dry_run=True)
    report = compact(grown.location, in_place=True)
    expected = remove(grown.location, keys=KEYS).old_shards
    assert planned.old_shards == report.old_shards == expected
    assert expected
    assert all(not parent(name).endswith("0005") for name in expected)
    assert compact(grown.location, in_place=True).old_shards == expected
    assert report.next == (f"shardmill prune {grown.location} --older-than 0",)
    prune(grown.location, older_than="0")
    report = compact(grown.location, in_place=True)
    assert (report.status, report.old_shards, report.next) == ("nothing-to-do", (), ())
    content = b"".join(content_of(Path(grown.location)).values())
    assert not any((grown.source / key).read_bytes() in content for key in KEYS)
    assert list(verify(grown.location, decode=True)) == []


@pytest.mark.slow
def test_compact_in_place_reports_no_shard_for_a_file_that_returned(grown: Grown) -> None:
    content = (grown.source / "cat/1-1.png").read_bytes()
    (grown.source / "cat/1-1.png").unlink()
    grown.append([], accept_gone=True)
    absent = compact(grown.location, in_place=True, dry_run=True).old_shards
    make_file(grown.source, "cat/1-1.png", content)
    grown.append([])
    prune(grown.location, older_than="0")
    grown.append(["cat/new.png"])
    report = compact(grown.location, in_place=True)
    assert (bool(absent), report.status, report.old_shards) == (True, "converted", ())


class KilledError(Exception):
    pass


@pytest.mark.parametrize(
    "step",
    [
        "publish_edits",
        *(
            pytest.param(step, marks=pytest.mark.slow)
            for step in ("collect_results", "remove_run", "ensure_unchanged")
        ),
    ],
)
def test_compact_in_place_killed_resumes_and_reuses_shards(
    grown: Grown, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KilledError

    before = keys_at(grown.location)
    with monkeypatch.context() as patch:
        patch.setattr(f"pipelines.edit.apply.{step}", fail)
        with pytest.raises(KilledError):
            compact(grown.location, in_place=True)
    folder = Path(grown.location, "generations/0005")
    written = {path: path.stat().st_ino for path in folder.glob("*.tfrecord")}
    assert bool(written) == (step != "ensure_unchanged")
    assert list(verify(grown.location)) == []
    report = compact(grown.location, in_place=True)
    assert report.status == ("nothing-to-do" if step == "remove_run" else "converted")
    found = {path: path.stat().st_ino for path in folder.glob("*.tfrecord")}
    assert found.items() >= written.items()
    assert keys_at(grown.location) == before
    assert list(verify(grown.location, decode=True)) == []
    assert not Path(grown.location, layout.WORK_FOLDER).exists()


@pytest.mark.slow
@pytest.mark.parametrize("then", ["append", "remove", "rollback", "clean"])
def test_compact_in_place_killed_is_discarded_by_other_commands(
    grown: Grown, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.edit.apply.publish_edits", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            compact(grown.location, in_place=True)
    if then == "append":
        grown.append(["cat/new.png"])
    elif then == "remove":
        remove(grown.location, keys=["cat/1-1.png"])
    elif then == "rollback":
        with pytest.raises(OutputError, match="unfinished run of `shardmill compact`"):
            rollback(grown.location)
        return
    else:
        clean(grown.location)
    assert list(verify(grown.location, decode=True)) == []
    compact(grown.location, in_place=True)
    assert list(verify(grown.location, decode=True)) == []


def test_compact_in_place_can_be_rolled_back(grown: Grown) -> None:
    keys = keys_at(grown.location)
    compact(grown.location, in_place=True)
    rollback(grown.location)
    assert {parent(name) for name in shard_names(manifest_of(Path(grown.location)))} != {""}
    assert keys_at(grown.location) == keys
    rollback(grown.location, to=5)
    assert keys_at(grown.location) == keys
    assert grown.append([]).status == "nothing-to-do"
    assert list(verify(grown.location, decode=True)) == []


def test_compact_in_place_describes_all_records_in_one_folder_for_tfds(grown: Grown) -> None:
    compact(grown.location, in_place=True)
    root = Path(grown.location)
    infos = {path: json.loads(path.read_text()) for path in root.rglob(layout.TFDS_INFO)}
    lengths = {
        path.parent.name: sum(int(n) for split in info["splits"] for n in split["shardLengths"])
        for path, info in infos.items()
    }
    assert lengths.pop("0005") == len(keys_at(grown.location))
    assert {*lengths.values()} == {0}
    assert all((root / index_name(name)).exists() for name in shard_names(manifest_of(root)))


@pytest.mark.slow
def test_conversion_without_append_into_a_dataset_compacted_in_place_is_refused(
    convert: Convert, source: Path, output: Path
) -> None:
    convert(test=0.3, append=True)
    make_file(source, "cat/new.png", (source / "dog/000.png").read_bytes())
    convert(test=0.3, append=True)
    assert compact(str(output), in_place=True).status == "converted"
    prune(str(output), older_than="0")
    content = (source / "cat/000.png").read_bytes()
    make_file(source, "cat/000.png", content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(OutputError, match="different plan"):
        convert(test=0.3)


@pytest.mark.slow
def test_compact_in_place_is_read_by_tfds_with_one_builder(grown: Grown) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    compact(grown.location, in_place=True)
    builder = tfds.builder_from_directory(f"{grown.location}/generations/0005")
    found = {
        example["image/filename"].numpy().decode()
        for split in builder.info.splits
        for example in builder.as_dataset(split=split)
    }
    assert found == keys_at(grown.location)


@pytest.mark.slow
def test_compact_in_place_in_an_object_store_is_read(tmp_path: Path, memory: Any) -> None:
    grown = Grown(tmp_path / "source", "memory://bucket/data")
    grown.grow(2)
    assert compact(grown.location, in_place=True).status == "converted"
    assert list(verify(grown.location, decode=True)) == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"output": "new", "in_place": True}, UsageError),
        ({}, UsageError),
        ({"dataset": "DATA@2", "in_place": True}, UsageError),
        ({"dataset": "missing", "in_place": True}, InputNotFoundError),
    ],
)
def test_compact_in_place_with_other_arguments_is_refused(
    grown: Grown, given: dict[str, Any], error: type[Exception]
) -> None:
    before = content_of(Path(grown.location))
    dataset = given.pop("dataset", "DATA").replace("DATA", grown.location)
    with pytest.raises(error):
        sm.compact(dataset, **given)
    assert content_of(Path(grown.location)) == before


def test_compact_in_place_during_another_run_is_refused(grown: Grown) -> None:
    with open_storage(grown.location).lock(), pytest.raises(LockedError):
        compact(grown.location, in_place=True)


def test_compact_in_place_command_prints_reports_and_metrics(grown: Grown, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(shardmill, ["compact", grown.location, *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert f"{grown.location}: would be written" in run("--in-place", "--dry-run")
    metrics = tmp_path / "shardmill.prom"
    lines = run("--in-place", "--metrics", str(metrics), "--processes", "1").splitlines()
    assert lines[:2] == [f"{grown.location}: done", "  generation 5"]
    assert f"  to erase   shardmill prune {grown.location} --older-than 0" in lines
    assert '/data",split="train"}' in metrics.read_text()
    assert json.loads(run("--in-place", "--json"))["status"] == "nothing-to-do"
    flags = ["compact", grown.location, "--in-place", "--", "--one=1", "--two=2"]
    error = CliRunner().invoke(shardmill, flags).exception
    assert isinstance(error, UsageError)
    assert "--one=1" in str(error)
