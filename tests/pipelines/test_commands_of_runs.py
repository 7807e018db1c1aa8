"""An unfinished run knows its command: messages name it, and only options that it has."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from pipelines import run_state
from pipelines.clean import clean
from pipelines.compact import compact
from pipelines.convert import convert as convert_options
from pipelines.options import ConvertOptions
from records import open_dataset, verify
from records.adopt import adoption
from records.content_addressed_dir import ContentAddressedDir
from records.errors import InputNotFoundError, OutputError, ShardmillError
from records.format import layout
from records.storage import open_storage
from records.storage.work_folder import record_command, unfinished_command
from shardmill.cli import shardmill
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture

SHARD = "train-00000-of-00001.tfrecord"
WRITERS = ("convert", "compact", "adopt")


class KilledError(Exception):
    pass


def fail(*_arguments: object, **_options: object) -> None:
    raise KilledError


@pytest.fixture
def data(convert: Convert, output: Path) -> Path:
    """Return a dataset of one shard."""
    convert(seed=3)
    return output


class Outputs:
    """Runs commands that write to `folder`, and stops them before their end."""

    def __init__(self, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data, self.folder, self._monkeypatch = data, folder, monkeypatch
        self.source = data.with_name("source")

    def run(self, command: str, **options: Any) -> None:
        if command == "convert":
            given = {"source": str(self.source), "output": str(self.folder), **options}
            convert_options(ConvertOptions(**given))
        elif command == "compact":
            compact(str(self.data), str(self.folder), **options)
        else:
            adoption.adopt(self.folder / SHARD, self.folder)

    def stop(self, command: str) -> None:
        """Leave an unfinished run of a command in the folder."""
        if command == "adopt":
            self.folder.mkdir()
            shutil.copy(self.data / SHARD, self.folder / SHARD)
        if command not in WRITERS:
            storage = open_storage(self.folder)
            ContentAddressedDir(storage, "0" * 32, "manifest", (), "others").begin()
            if command == "predict":
                storage.replace(f"{layout.WORK_FOLDER}/run/config.json", b"{}")
            return
        with self._monkeypatch.context() as patch:
            if command == "adopt":
                patch.setattr(adoption, "encode_manifest", fail)
            else:
                module = {"compact": "compact.new_dataset"}.get(command, command)
                patch.setattr(f"pipelines.{module}.publish", fail)
            with pytest.raises(KilledError):
                self.run(command)


@pytest.fixture
def outputs(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outputs:
    return Outputs(data, tmp_path / "new", monkeypatch)


@pytest.mark.parametrize("command", [*WRITERS, "featurize", "predict"])
def test_reading_an_unfinished_output_names_its_command(outputs: Outputs, command: str) -> None:
    outputs.stop(command)
    assert unfinished_command(open_storage(outputs.folder)) == command
    with pytest.raises(InputNotFoundError) as found:
        open_dataset(outputs.folder)
    assert f"a run of `shardmill {command}` is unfinished" in found.value.what
    assert found.value.hint == f"run the same `shardmill {command}` command again: it resumes"


@pytest.mark.parametrize("name", ["command", "lock", "notes.txt"])
def test_reading_an_output_of_an_unknown_command_names_none(tmp_path: Path, name: str) -> None:
    make_file(tmp_path, f"{layout.WORK_FOLDER}/{name}", b"rm -rf")
    with pytest.raises(InputNotFoundError, match="a run is unfinished") as found:
        open_dataset(tmp_path)
    assert "shardmill" not in str(found.value.hint)


@pytest.mark.parametrize("command", WRITERS)
def test_the_same_command_finishes_its_run(outputs: Outputs, command: str) -> None:
    outputs.stop(command)
    outputs.run(command)
    assert list(verify(outputs.folder)) == []
    assert not (outputs.folder / layout.WORK_FOLDER).exists()


@pytest.mark.parametrize("other", WRITERS)
@pytest.mark.parametrize("command", [*WRITERS, "featurize", "predict"])
def test_another_command_refuses_an_unfinished_run_and_names_its_command(
    outputs: Outputs, command: str, other: str
) -> None:
    if other == command:
        return
    outputs.stop(command)
    if other == "adopt" and command != "adopt":
        shutil.copy(outputs.data / SHARD, outputs.folder / SHARD)
    before = content_of(outputs.folder)
    with pytest.raises(OutputError, match=f"unfinished run of `shardmill {command}`") as found:
        outputs.run(other)
    assert content_of(outputs.folder).items() >= before.items()
    is_cleaned = "`shardmill clean`" in str(found.value.hint)
    assert is_cleaned == (command in {"convert", "compact"})
    if is_cleaned:
        clean(str(outputs.folder))
        assert not (outputs.folder / layout.WORK_FOLDER).exists()
    assert "--append" not in str(found.value)


def test_append_keeps_the_unfinished_run_of_another_command(outputs: Outputs) -> None:
    outputs.stop("compact")
    with pytest.raises(OutputError, match="unfinished run of `shardmill compact`"):
        outputs.run("convert", append=True)
    outputs.run("compact")
    assert list(verify(outputs.folder)) == []


@pytest.mark.parametrize("state", [["command"], ["command", "plan.json"]])
def test_append_removes_what_a_finished_compaction_has_left(
    outputs: Outputs, state: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.compact.new_dataset.remove_run", fail)
        with pytest.raises(KilledError):
            outputs.run("compact")
    for path in (outputs.folder / layout.WORK_FOLDER).iterdir():
        if path.is_file() and path.name not in state:
            path.unlink()
    make_file(outputs.source, "cat/more.png", make_picture(77))
    outputs.run("convert", append=True)
    assert len(open_dataset(outputs.folder).manifest.generations) == 2
    assert list(verify(outputs.folder)) == []


@pytest.mark.parametrize("command", ["convert", "compact"])
def test_damaged_plan_names_clean_which_removes_the_run(outputs: Outputs, command: str) -> None:
    outputs.stop(command)
    make_file(outputs.folder, layout.RUN_PLAN, b"{")
    with pytest.raises(ShardmillError, match="run with `shardmill clean`, and run the same"):
        outputs.run(command)
    clean(str(outputs.folder))
    assert content_of(outputs.folder) == {}
    outputs.run(command)
    assert list(verify(outputs.folder)) == []


def contain_another_dataset(outputs: Outputs) -> None:
    outputs.run("convert", seed=9)


def lose_a_shard(outputs: Outputs) -> None:
    outputs.run("compact")
    (outputs.folder / SHARD).unlink()


def lose_a_shard_of_conversion(outputs: Outputs) -> None:
    outputs.run("convert")
    (outputs.folder / SHARD).unlink()


def contain_a_run_of_another_plan(outputs: Outputs) -> None:
    outputs.folder.mkdir()
    storage = open_storage(outputs.folder)
    record_command(storage, "compact")
    run = run_state.UnfinishedRun("0" * 32, "0" * 32, {}, (SHARD,))
    storage.replace(layout.RUN_PLAN, msgspec.json.encode(run))


def contain_a_file_of_the_user(outputs: Outputs) -> None:
    make_file(outputs.folder, layout.LABELS, b"mine")


def contain_a_damaged_manifest(outputs: Outputs) -> None:
    make_file(outputs.folder, layout.MANIFEST, b"{}")


def be_a_file(outputs: Outputs) -> None:
    outputs.folder.write_bytes(b"")


SITUATIONS = (
    contain_another_dataset,
    lose_a_shard,
    lose_a_shard_of_conversion,
    contain_a_run_of_another_plan,
    contain_a_file_of_the_user,
    contain_a_damaged_manifest,
    be_a_file,
)
CALLS = {
    "convert": ("convert", "SOURCE", "NEW"),
    "compact": ("compact", "DATA", "NEW"),
    "compact of no dataset": ("compact", "SOURCE", "NEW2"),
    "compact of a file": ("compact", "DATA/labels.txt", "NEW2"),
    "compact of nothing": ("compact", "missing", "NEW2"),
    "compact into itself": ("compact", "DATA", "DATA/new"),
    "clean": ("clean", "NEW"),
    "adopt": ("adopt", f"NEW/{SHARD}", "NEW"),
}


def options_of(command: str) -> set[str]:
    """Return the options of a command, and of all commands."""
    found = shardmill.get_command(click.Context(shardmill), command)
    assert found is not None
    parameters = [*found.params, *shardmill.params]
    return {option for each in parameters for option in (*each.opts, *each.secondary_opts)}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_messages_name_only_commands_and_options_that_exist(
    outputs: Outputs, situation: Callable[[Outputs], None]
) -> None:
    situation(outputs)
    places = {"SOURCE": outputs.source, "NEW2": f"{outputs.folder}2", "NEW": outputs.folder}
    commands = set(shardmill.list_commands(click.Context(shardmill)))
    refused = 0
    for name, call in CALLS.items():
        given = list(call)
        for word, place in {**places, "DATA": outputs.data}.items():
            given = [re.sub(rf"^{word}(?=/|$)", str(place), text) for text in given]
        error = CliRunner().invoke(shardmill, given).exception
        if error is None or isinstance(error, SystemExit):
            continue
        assert isinstance(error, ShardmillError), (name, error)
        refused += 1
        hint = str(error.hint or "")
        assert set(re.findall(r"--[a-z][a-z-]+", str(error))) <= options_of(call[0]), (name, error)
        assert set(re.findall(r"`shardmill ([a-z-]+)", str(error))) <= commands, (name, error)
        if call[0] == "compact":
            assert not re.search(r"\b(convert|source) ", hint.replace("`shardmill convert", "")), (
                name, error,
            )  # fmt: skip
        if call[0] == "clean":
            assert "output" not in hint or "restore" in hint, (name, error)
    assert refused >= 4


@pytest.mark.parametrize("command", ["convert", "compact", "adopt", "clean"])
def test_locked_output_has_a_hint_that_fits_every_command(outputs: Outputs, command: str) -> None:
    outputs.stop("adopt" if command == "adopt" else "convert" if command == "clean" else command)
    with open_storage(outputs.folder).lock(), pytest.raises(ShardmillError) as found:
        clean(str(outputs.folder)) if command == "clean" else outputs.run(command)
    assert found.value.hint == "wait for it to end, then run the same command again"
