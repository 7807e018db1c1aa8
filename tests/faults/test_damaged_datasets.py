"""Every file of a dataset damaged, and every command that reads datasets.

A command reports the damage in one line and exits with a documented status, or does not need the
file. No damage is an internal error, status 70.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from records.errors import ShardmillError
from shardmill.cli import shardmill
from tests.keys import write_keys
from tests.pipelines.pictures import CORRUPT, make_file, make_picture

EVERY = pytest.param(1, marks=pytest.mark.slow)

DOCUMENTED = {0, 1, 2, 65, 66, 73, 74}
LIGHT: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "DATA", "--decode"),
    "sign": ("sign", "DATA", "--key", "KEY"),
    "verify --signature": ("verify", "DATA", "--signature", "--key", "KEY.pub"),
    "files": ("files", "DATA"),
    "files @1": ("files", "DATA@1"),
    "log": ("log", "DATA"),
    "diff": ("diff", "DATA@1", "DATA"),
    "rollback": ("rollback", "DATA"),
    "prune": ("prune", "DATA", "--older-than", "0"),
    "stats": ("stats", "DATA"),
    "stats --near": ("stats", "DATA", "--near"),
    "quality": ("quality", "DATA"),
    "report": ("report", "DATA", "-o", "NEW.html"),
    "inspect": ("inspect", "DATA"),
    "inspect --grid": ("inspect", "DATA", "--grid", "NEW.png"),
    "extract": ("extract", "DATA", "NEW"),
    "export-dataset": ("export-dataset", "DATA", "NEW", "--format", "webdataset"),
    "compact": ("compact", "DATA", "NEW"),
    "compact --in-place": ("compact", "DATA", "--in-place"),
    "remove": ("remove", "DATA", "--where", "width < 0 or '3.png' in key"),
    "relabel": ("relabel", "DATA", "LIST"),
    "append": ("convert", "SOURCE", "DATA", "--append"),
    "repair --dry-run": ("repair", "DATA", "SOURCE", "--dry-run"),
    "repair": ("repair", "DATA", "SOURCE"),
    "salvage": ("salvage", "SHARD", "NEW"),
    "adopt": ("adopt", "DATA", "--dry-run"),
    "clean": ("clean", "DATA", "--dry-run"),
    "train --dry-run": ("train", "DATA", "NEW", "--dry-run", "--class-weights", "balanced"),
    "train --folds --dry-run": ("train", "DATA", "NEW", "--dry-run", "--folds", "2"),
}
SMALL = ("--image-size", "16", "--batch-size", "8")
HEAVY: dict[str, tuple[str, ...]] = {
    "train": ("train", "DATA", "NEW", "--steps", "1", *SMALL),
    "train --class-weights": (
        "train", "DATA", "NEW", "--steps", "1", "--class-weights", "balanced", *SMALL,
    ),
    "train --skip-bad": ("train", "DATA", "NEW", "--steps", "1", "--skip-bad", "9", *SMALL),
    "train --cache": ("train", "DATA", "NEW", "--steps", "1", "--cache", "disk", *SMALL),
    "evaluate": ("evaluate", "RUN", "DATA", "--csv", "NEW.csv"),
    "evaluate --skip-bad": ("evaluate", "RUN", "DATA", "--skip-bad", "99"),
    "predict": ("predict", "RUN", "DATA"),
    "doctor": ("doctor", "DATA", "--seconds", "0.1"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def make_dataset(folder: Path, first: int) -> Path:
    """Convert pictures in two generations; return the dataset, next to its source."""
    source, data = folder.with_name(f"{folder.name}-source"), folder
    make_file(source, "dog/bad.png", CORRUPT)
    for append in (False, True):
        for number in range(first, first + 14):
            picture = make_picture(number + 99 * append)
            make_file(source, f"{'cat' if number % 3 else 'dog'}/{append}-{number}.png", picture)
        options = ConvertOptions(
            source=str(source), output=str(data), shards=None if append else 2,
            test=None if append else 0.3, max_rejects=9, append=append,
        )  # fmt: skip
        convert(options)
    return data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("damaged") / "data", 0)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("other") / "data", 1000)


def damage_with_folder(path: Path, _other: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "missing": lambda path, _other: path.unlink(),
    "empty": lambda path, _other: path.write_bytes(b""),
    "cut": lambda path, _other: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "another's": lambda path, other: shutil.copyfile(other, path),
    "folder": damage_with_folder,
}


class Damaged(NamedTuple):
    """A copy of a dataset with one damaged file."""

    data: Path
    name: str

    def run(self, arguments: Sequence[str], run: Path | None = None) -> str | None:
        """Run a command on a copy; return what is wrong with its end."""
        new = self.data.with_name("new")
        places = {
            "DATA": self.data, "DATA@1": f"{self.data}@1",
            "NEW": new, "NEW.png": new.with_suffix(".png"),
            "NEW.html": new.with_suffix(".html"),
            "SOURCE": self.data.with_name("source"), "RUN": run,
            "SHARD": self.data / "train-00000-of-00002.tfrecord",
            "LIST": self.data.with_name("list.csv"),
            "KEY": self.data.with_name("key.pem"), "KEY.pub": self.data.with_name("key.pub"),
        }  # fmt: skip
        given = [str(places.get(argument, argument)) for argument in arguments]
        result = CliRunner().invoke(shardmill, given)
        for path in (new, self.data.with_name("run-new")):
            shutil.rmtree(path, ignore_errors=True)
        new.with_suffix(".png").unlink(missing_ok=True)
        if result.exit_code in DOCUMENTED and result.exception is None:
            return None
        error = result.exception
        if isinstance(error, SystemExit) and error.code in DOCUMENTED:
            return None
        if isinstance(error, ShardmillError) and error.exit_code in DOCUMENTED:
            return None if "\n" not in str(error) else f"more than one line: {error}"
        return f"{given[0]} {given[1:]} with {self.name}: {error!r}"


def damage_each(data: Path, other: Path, folder: Path, step: int) -> Iterator[Damaged]:
    """Yield a copy of a dataset with one damage of one file, for each step-th such damage."""
    names = sorted(path.relative_to(data) for path in data.rglob("*") if path.is_file())
    cases = [(name, damage) for damage in DAMAGES for name in names]
    for number, (name, damage) in enumerate(cases):
        if number % step:
            continue
        copy = folder / f"{number}" / "data"
        shutil.copytree(data, copy)
        (copy.parent / "list.csv").write_text("key,class\ncat/False-1.png,dog\n")
        write_keys(copy.parent)
        (copy.parent / "source").symlink_to(data.with_name("data-source"))
        counterpart = other / name
        if not counterpart.exists():  # the other dataset has another number of shards
            counterpart = other / "train-00000-of-00002.tfrecord"
        DAMAGES[damage](copy / name, counterpart)
        yield Damaged(copy, f"{name} {damage}")
        shutil.rmtree(copy.parent)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", [73, EVERY])
def test_commands_without_keras_on_damaged_dataset_exit_as_documented(
    data: Path, other: Path, tmp_path: Path, step: int
) -> None:
    wrong = [
        f"{name}: {problem}"
        for damaged in damage_each(data, other, tmp_path, step)
        for name, arguments in LIGHT.items()
        if (problem := damaged.run(arguments)) is not None
    ]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("step", [41, 1])
def test_commands_with_keras_on_damaged_dataset_exit_as_documented(
    data: Path, other: Path, tmp_path: Path, step: int
) -> None:
    run = tmp_path / "run"
    Damaged(data, "nothing").run([part if part != "NEW" else str(run) for part in HEAVY["train"]])
    wrong = [
        f"{name}: {problem}"
        for damaged in damage_each(data, other, tmp_path, step)
        for name, arguments in HEAVY.items()
        if (problem := damaged.run(arguments, run)) is not None
    ]
    assert wrong == []
