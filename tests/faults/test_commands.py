"""Commands that change a dataset, killed or failing at any call."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.clean import clean
from pipelines.compact import compact
from pipelines.convert import convert
from pipelines.edit import relabel, remove
from pipelines.options import ConvertOptions
from pipelines.prune import prune
from pipelines.repair import make_options, repair
from pipelines.rollback import rollback
from records import verify
from records.errors import InputNotFoundError, ShardmillError, TooManyRejectsError
from records.format import layout
from records.quality import quality
from records.signatures import sign
from tests.faults.calls import Faults, KilledError
from tests.keys import write_keys
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders, make_picture

pytestmark = pytest.mark.usefixtures("without_helper_processes", "without_fsync")
CODES = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO)
EVERY = pytest.param(None, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
KEYS = ["cat/000.png", "dog/003.png"]
EXIT_CODES = {0, 73, 74}

Command = Callable[[Path, Path], object]
"""A function that runs a command; its arguments are the folder of the scene, and the dataset."""


def convert_folder(source: Path, data: Path, **options: Any) -> None:
    convert(ConvertOptions(source=str(source), output=str(data), workers=1, **options))


def append_renamed(scene: Path, data: Path) -> None:
    renames, describe = {"cat": "felis"}, str(scene / "flowers.toml")
    convert_folder(
        scene / "renamed", data, append=True, rename_class=renames, accept_gone=True,
        describe=describe,
    )  # fmt: skip


def clean_unfinished(_scene: Path, data: Path) -> None:
    with suppress(InputNotFoundError):  # the run that was killed had nothing left to remove
        clean(str(data))


COMMANDS: dict[str, Command] = {
    "append": append_renamed,
    "compact": lambda _, data: compact(str(data), in_place=True),
    "remove": lambda _, data: remove(str(data), keys=["cat/001.png", "dog/004.png"]),
    "relabel": lambda _, data: relabel(str(data), {"cat/001.png": ("dog",)}),
    "rollback": lambda _, data: rollback(str(data), to=1),
    "prune": lambda _, data: prune(str(data), older_than="0"),
    "repair": lambda scene, data: repair(make_options(str(data), str(scene / "source"), {})),
    "clean": clean_unfinished,
    "sign": lambda scene, data: sign(str(data), key=str(scene / "key.pem")),
    "quality": lambda _, data: quality(str(data), processes=1),
}
BEFORE = {"repair": "broken", "clean": "unfinished"}
"""The dataset of the scene on which a command runs; `base` by default."""
_TESTED_ELSEWHERE = {"append", "compact", "remove", "relabel"}
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in _TESTED_ELSEWHERE)) for name in COMMANDS
]


def die() -> None:
    raise KilledError


def failing_with(code: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sources, a key, and a dataset of three generations in three states."""
    folder = tmp_path_factory.mktemp("scene")
    source, base = make_folders(folder / "source", cat=8, dog=6), folder / "base"
    convert_folder(source, base, test=4, shards=2)
    for number in range(3):
        make_file(source, f"cat/new{number}.png", make_picture(5000 + number))
    convert_folder(source, base, append=True)
    remove(str(base), keys=KEYS)
    write_keys(folder)
    (folder / "flowers.toml").write_text('name = "Flowers"\n')
    for name in ("renamed", "bad"):
        shutil.copytree(source, folder / name)
    (folder / "renamed" / "cat").rename(folder / "renamed" / "felis")
    (folder / "renamed" / "dog" / "005.png").unlink()
    _damage(shutil.copytree(base, folder / "broken"))
    make_file(folder / "bad", "dog/bad.png", CORRUPT)
    make_file(folder / "bad", "dog/last.png", make_picture(6000))
    shutil.copytree(base, folder / "unfinished")
    with pytest.raises(TooManyRejectsError):
        convert_folder(folder / "bad", folder / "unfinished", append=True, max_rejects=0)
    return folder


def _damage(data: Path) -> None:
    first, *_, last = sorted(data.glob("*.tfrecord"))
    first.unlink()
    (data / layout.index_name(last.name)).write_bytes(b"")
    (data / layout.LABELS).unlink()


class Runs:
    """Runs of one command, each on a new copy of its dataset."""

    def __init__(self, name: str, scene: Path, folder: Path, faults: Faults) -> None:
        self._command, self._before = COMMANDS[name], scene / BEFORE.get(name, "base")
        self._scene, self._folder, self._faults = scene, folder, faults
        whole = self.copy("whole")
        with faults.at(None, die):
            self.run(whole)
        self.calls, self._expected = faults.calls, content_of(whole)
        assert list(verify(whole)) == []

    def copy(self, name: str) -> Path:
        """Return a new copy of the dataset."""
        return shutil.copytree(self._before, self._folder / name)

    def run(self, data: Path) -> None:
        """Run the command."""
        self._command(self._scene, data)

    def sample(self, most: int | None) -> Iterator[int]:
        """Yield the numbers of some calls; of all if `most` is None."""
        yield from range(1, self.calls + 1, max(1, self.calls // (most or self.calls)))

    def require_finished(self, data: Path, number: int) -> None:
        """Run the command again; it must give the dataset of an undisturbed run."""
        self.run(data)
        assert content_of(data) == self._expected, number
        assert not (data / layout.WORK_FOLDER).exists(), number
        shutil.rmtree(data)


def exit_code(runs: Runs, data: Path) -> int:
    """Return the exit status of a command, which succeeds or raises a ShardmillError."""
    try:
        runs.run(data)
    except ShardmillError as error:
        return error.exit_code
    return 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("most", [3, EVERY])
def test_command_killed_at_any_call_is_finished_by_the_same_command(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int | None
) -> None:
    faults = Faults(monkeypatch, "change", "removal")
    runs = Runs(name, scene, tmp_path, faults)
    for number in runs.sample(most):
        data = runs.copy(f"{number}")
        with suppress(KilledError), faults.at(number, die):
            runs.run(data)
        if name != "repair":
            assert list(verify(data)) == [], number
        runs.require_finished(data, number)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("most", [3, EVERY])
def test_command_failing_at_any_call_is_one_error_and_is_finished_by_the_same_command(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int | None
) -> None:
    faults = Faults(monkeypatch, "change", "removal")
    runs = Runs(name, scene, tmp_path, faults)
    for number in runs.sample(most):
        data, code = runs.copy(f"{number}"), CODES[number % len(CODES)]
        with faults.at(number, failing_with(code), once=True):
            assert exit_code(runs, data) in EXIT_CODES, number
        if name != "repair":
            assert list(verify(data)) == [], number
        runs.require_finished(data, number)
