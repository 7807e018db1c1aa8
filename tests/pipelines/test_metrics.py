"""`--metrics`: the metrics of successful runs, as a parser of Prometheus reads them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from pipelines.cli.compact import compact
from pipelines.cli.convert import convert
from pipelines.convert import convert as run_conversion
from records.errors import OutputError, ShardmillError, UsageError
from records.format.manifest import read_manifest
from records.storage import open_storage
from tests.pipelines.pictures import make_file, make_folders

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "shardmill_"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_folders(tmp_path / "photos", cat=6, dog=4)


def run(command: Any, *arguments: object) -> str:
    """Run a command in this process; return its output."""
    result = CliRunner().invoke(command, [*map(os.fsdecode, map(str, arguments)), "--quiet"])
    if result.exception is not None:
        raise result.exception
    return result.output


def read_metrics(path: Path) -> dict[str, float]:
    """Return the values by name, and by split for those of a split."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        assert family.documentation
        for sample in family.samples:
            split = sample.labels.get("split")
            found[sample.name.removeprefix(PREFIX) + (f" {split}" if split else "")] = sample.value
    return found


def test_metrics_of_each_run_are_those_of_its_report_and_dataset(
    source: Path, tmp_path: Path
) -> None:
    file, data = tmp_path / "m.prom", tmp_path / "data"
    run_it = (convert, source, data, "--test", 0.3, "--append", "--metrics", file)
    run(*run_it)
    first = read_metrics(file)
    assert (first["generation"], first["new_images"], first["gone_files"]) == (1, 10, 0)
    (source / "cat/new.png").write_bytes((source / "dog/003.png").read_bytes())
    make_file(source, "cat/bad.jpg", b"no image")
    (source / "cat/notes.txt").write_text("no image")
    make_file(source, "dog/000.png", b"changed")
    run(*run_it, "--max-rejects", 5)
    second = read_metrics(file)
    expected = {"generation": 2, "new_images": 1, "rejected_files": 1, "skipped_files": 1}
    expected |= {"found_files": 13, "known_files": 10}
    expected |= {"changed_files": 1, "gone_files": 0, "renamed_files": 0, "relabelled_files": 0}
    assert second.items() >= expected.items()
    (source / "dog/001.png").unlink()
    (source / "dog/002.png").rename(source / "cat/moved.png")
    run(*run_it, "--max-rejects", 5)
    third = read_metrics(file)
    expected = {"generation": 3, "new_images": 0, "gone_files": 1, "renamed_files": 1}
    expected |= {"found_files": 12, "known_files": 11, "rejected_files": 0}
    expected |= {"relabelled_files": 1, "removed_images": 0, "corrected_images": 1}
    assert third.items() >= expected.items()
    times = [each["last_success_timestamp_seconds"] for each in (first, second, third)]
    assert times == sorted(times)
    for split, info in read_manifest(open_storage(data)).splits.items():
        assert third[f"images {split}"] == info.records
        assert third[f"bytes {split}"] == info.bytes
    run(compact, data, tmp_path / "compacted", "--metrics", tmp_path / "c.prom")
    compacted = read_metrics(tmp_path / "c.prom")
    assert (compacted["generation"], compacted["new_images"]) == (1, 11)


@pytest.mark.parametrize("name", ["data", 'a"b\\c', "line\nbreak", "ключ", "\udcff\udc80"])
def test_metrics_output_of_any_name_is_one_label(source: Path, tmp_path: Path, name: str) -> None:
    file, data = tmp_path / "m.prom", tmp_path / name
    run(convert, source, data, "--metrics", file)
    labels = {
        sample.labels["output"]
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
    assert labels == {open_storage(data).url}


@pytest.mark.parametrize("options", [("--dry-run",), ("--classes", "none"), ("--max-rejects", "0")])
def test_metrics_file_of_a_run_without_success_stays_as_it_is(
    source: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = tmp_path / "m.prom"
    run(convert, source, tmp_path / "data", "--metrics", file)
    before = file.read_bytes()
    make_file(source, "cat/bad.jpg", b"no image")
    arguments = (source, tmp_path / "other", "--metrics", file, *options)
    if options == ("--dry-run",):
        run(convert, *arguments)
    else:
        with pytest.raises(ShardmillError):
            run(convert, *arguments)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("place", ["file of the user", "empty file", "folder", "no folder", "URL"])
def test_metrics_at_an_unsuitable_place_is_an_error_before_the_run(
    source: Path, tmp_path: Path, place: str
) -> None:
    file = tmp_path / "m.prom"
    if place == "folder":
        file.mkdir()
    elif place.endswith("file of the user"):
        file.write_text("# HELP other_metric\n")
    elif place == "empty file":
        file.touch()
    elif place == "no folder":
        file = tmp_path / "absent" / "m.prom"
    location = "memory://metrics/m.prom" if place == "URL" else file
    with pytest.raises(ShardmillError) as raised:
        run(convert, source, tmp_path / "data", "--metrics", location)
    assert raised.value.exit_code == (2 if place == "URL" else 73)
    assert not (tmp_path / "data").exists()
    assert place != "file of the user" or file.read_text() == "# HELP other_metric\n"


@pytest.mark.parametrize("name", ["dataset_info.json", "train-00000-of-00001.tfrecord", "m.prom"])
@pytest.mark.parametrize("through_link", [False, True])
def test_metrics_inside_the_dataset_is_an_error_before_the_run(
    source: Path, tmp_path: Path, name: str, through_link: bool
) -> None:
    data, link = tmp_path / "data", tmp_path / "link"
    data.mkdir()
    link.symlink_to(data)
    file = (link if through_link else data) / name
    with pytest.raises(UsageError, match="metrics file is inside the dataset"):
        run(convert, source, data, "--metrics", file)
    assert [*data.iterdir()] == []


@pytest.mark.parametrize("is_link", [False, True])
def test_metrics_file_of_the_user_that_appears_during_the_run_is_kept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool
) -> None:
    file, own = tmp_path / "m.prom", tmp_path / "own.txt"

    def convert_and_create(*arguments: Any) -> Any:
        report = run_conversion(*arguments)
        own.write_text("of the user")
        if is_link:
            file.symlink_to(own)
        else:
            own.rename(file)
        return report

    monkeypatch.setattr("pipelines.convert.convert", convert_and_create)
    with pytest.raises(OutputError, match="contains no metrics"):
        run(convert, source, tmp_path / "data", "--metrics", file)
    assert file.read_text() == "of the user"


@pytest.mark.parametrize("runs", [1, 2])
def test_metrics_at_a_link_are_in_the_file_of_the_link(
    source: Path, tmp_path: Path, runs: int
) -> None:
    link, file = tmp_path / "m.prom", tmp_path / "collector" / "photos.prom"
    file.parent.mkdir()
    link.symlink_to(file)
    for _ in range(runs):
        run(convert, source, tmp_path / "data", "--metrics", link)
    assert link.is_symlink()
    assert not file.is_symlink()
    assert read_metrics(file)["images train"] == 10


def test_metrics_without_the_package_is_an_error_before_the_run(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ShardmillError, match=r"prometheus_client is not installed.*\[metrics\]"):
        run(convert, source, tmp_path / "data", "--metrics", tmp_path / "m.prom")
    assert not (tmp_path / "data").exists()


def test_metrics_staged_file_of_a_killed_run_is_removed(source: Path, tmp_path: Path) -> None:
    staged = tmp_path / ".0123456789abcdef-new"
    staged.write_bytes(b"# HELP shardmill_")
    run(convert, source, tmp_path / "data", "--metrics", tmp_path / "m.prom")
    assert not staged.exists()
