"""Damage of the files of a run, and processes that are killed while they write them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import pytest

from records.errors import CorruptDataError, OutputError
from records.format.digest import FileDigest, digest_of, digest_stream
from records.strict_json import decode_versioned
from tests.faults.calls import Faults, KilledError
from tests.trainers.test_config import CONFIG
from trainers.runs import digests
from trainers.runs.create import create_run, open_for_writing, remove_if_empty, require_empty
from trainers.runs.digests import DIGESTS, RunDigests, check_file, read_checked
from trainers.runs.result import find_result
from trainers.runs.run_dir import HISTORY, OPTIONS, RESULT, WEIGHTS, Run, is_run, open_run
from trainers.runs.run_folder import open_run_folder
from trainers.runs.trained_images import read_trained_images

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LABELS = ("disc", "square", "star", "arc", "dot")
CHECKPOINTS = [f"checkpoints/step-{step:08}.weights.h5" for step in (1, 2)]


def listed(run: Path) -> Mapping[str, tuple[FileDigest, ...]]:
    content = (run / DIGESTS).read_bytes()
    return decode_versioned(content, RunDigests, version=1, what="digests", path=DIGESTS).files


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped bit": flip,
    "truncated": lambda content: content[:-1],
    "longer": lambda content: content + b"\n",
    "empty": lambda _: b"",
    "replaced": lambda content: content[::-1],
}


def test_finished_run_has_the_digest_of_every_file(run_path: Path) -> None:
    files = [path for path in run_path.rglob("*") if path.is_file()]
    names = {path.relative_to(run_path).as_posix() for path in files} - {DIGESTS, OPTIONS}
    recorded = listed(run_path)
    assert {name for name in names if not name.endswith("-test.png")} == recorded.keys()
    for name, found in recorded.items():
        with (run_path / name).open("rb") as stream:
            assert found == (digest_stream(stream),)


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_recorded_file_with_any_damage_is_refused(
    run_path: Path, tmp_path: Path, damage: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_path, run)
    folder = open_run_folder(run)
    for name in listed(run):
        content = (run / name).read_bytes()
        (run / name).write_bytes(DAMAGES[damage](content))
        with pytest.raises(CorruptDataError, match=f"{name}: the file was changed after the run"):
            read_checked(folder, name)
        with pytest.raises(CorruptDataError, match=f"{name}: the file was changed after the run"):
            check_file(folder, name)
        (run / name).write_bytes(content)
        assert read_checked(folder, name) == content
    (run / "checkpoints" / "mine").touch()
    with pytest.raises(CorruptDataError, match=r"mine: .* a file that digests\.json lists"):
        check_file(folder, "checkpoints/mine")


def test_digests_with_any_changed_byte_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    create_run(path, CONFIG, LABELS)
    content = (path / DIGESTS).read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (path / DIGESTS).write_bytes(changed)
        with pytest.raises(CorruptDataError, match="run/"):
            open_run(path)
    (path / DIGESTS).unlink()
    with pytest.raises(CorruptDataError, match=r"digests\.json: a file of the run is missing"):
        open_run(path)


def change_one_value(path: Path) -> None:
    """Flip the lowest bit of a weight, which remains finite."""
    places = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                places.append(item.id.get_offset())
                if isinstance(item, h5py.Dataset) and name.startswith("layers")
                else None
            )
        )
    content = bytearray(path.read_bytes())
    content[places[0]] ^= 1
    path.write_bytes(content)


def test_commands_refuse_finite_damage_of_weights_and_swapped_names(
    run_path: Path, shapes: Path, tmp_path: Path
) -> None:
    from trainers.evaluation.evaluate import evaluate
    from trainers.export.export import export
    from trainers.models.weights_path import find_weights
    from trainers.prediction.predictor import Predictor
    from trainers.training.checkpoints import latest_checkpoint, read_state
    from trainers.training.planning import plan_training

    path = tmp_path / "run"
    shutil.copytree(run_path, path)
    run = open_run(path)
    change_one_value(path / WEIGHTS)
    commands: list[Callable[[], object]] = [
        lambda: Predictor(path),
        lambda: Predictor(run),
        lambda: evaluate(path, shapes),
        lambda: export(path, tmp_path / "out"),
        lambda: find_weights(str(path), run.config.architecture.model),
    ]
    for command in commands:
        with pytest.raises(CorruptDataError, match=r"model\.weights\.h5: the file was changed"):
            command()
    assert not (tmp_path / "out").exists()
    with (
        pytest.raises(CorruptDataError, match=r"model\.weights\.h5"),
        open_for_writing(path, run.config, run.labels),
    ):
        pass

    checkpoint = latest_checkpoint(run)
    assert checkpoint is not None
    change_one_value(path / checkpoint)
    with pytest.raises(CorruptDataError, match="remove this file to resume from the previous"):
        read_state(run, checkpoint)

    names = (path / "labels.txt").read_text().splitlines()
    swapped = [f"{label}:{name.partition(':')[2]}" for label, name in enumerate(names[::-1])]
    (path / "labels.txt").write_text("\n".join(swapped))
    for command in [commands[0], *commands[2:]]:
        with pytest.raises(CorruptDataError, match=r"labels\.txt: .* remove this file"):
            command()

    for name, read in (
        ("training_images.u64", lambda: read_trained_images(run)),
        (RESULT, lambda: find_result(plan_training(shapes, path, run.config.options, resume=True))),
        ("config.json", lambda: plan_training(shapes, path, run.config.options, resume=True)),
    ):
        (path / name).write_bytes(flip((path / name).read_bytes()))
        with pytest.raises(CorruptDataError, match=f"{name}: the file was changed"):
            read()


def write_epoch(run: Run) -> None:
    """Write the files of the last epoch, as training does with one checkpoint to keep."""
    run.write(WEIGHTS, b"second weights")
    run.write_unrecorded(HISTORY, b"rows")
    run.write(CHECKPOINTS[1], b"second state")
    (Path(run.location) / CHECKPOINTS[0]).unlink()
    run.write_all({HISTORY: b"all rows", RESULT: b"{}"})


@pytest.mark.parametrize("fault", ["killed", "full"])
def test_writes_fail_at_any_call_then_every_file_has_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    faults = Faults(monkeypatch, "change", "removal")

    def fail() -> None:
        if fault == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise KilledError

    number, failed = 0, True
    while failed:
        number += 1
        path = tmp_path / str(number)
        run = create_run(path, CONFIG, LABELS)
        run.write(WEIGHTS, b"first weights")
        run.write(CHECKPOINTS[0], b"first state")
        try:
            with faults.at(number, fail):
                write_epoch(run)
            failed = False
        except (KilledError, OutputError, OSError):
            pass
        remaining = [name for name in CHECKPOINTS if (path / name).exists()]
        assert remaining, number  # the run can resume
        for name in (WEIGHTS, "config.json", "labels.txt", *remaining):
            check_file(run.folder, name)
        if (path / RESULT).exists():
            check_file(run.folder, RESULT)
            assert not [*path.glob(".*")]
        with open_for_writing(path, CONFIG, LABELS) as resumed:
            resumed.write(WEIGHTS, b"third weights")
        assert listed(path).keys() == {WEIGHTS, "config.json", "labels.txt", *remaining}
        assert len(listed(path)[WEIGHTS]) == 1
        assert resumed.read(WEIGHTS) == b"third weights"
    assert number > 30


def test_removal_of_empty_run_killed_at_any_call_leaves_folder_for_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(monkeypatch, "change", "removal")

    def fail() -> None:
        raise KilledError

    number, failed = 0, True
    while failed:
        number += 1
        run = create_run(tmp_path / str(number), CONFIG, LABELS)
        try:
            with faults.at(number, fail):
                remove_if_empty(run)
            failed = False
        except KilledError:
            pass
        if not is_run(run.folder):
            require_empty(run.location, resume=True)
        with open_for_writing(run.location, CONFIG, LABELS) as again:
            again.write(WEIGHTS, b"weights")
        assert open_run(run.location).labels == LABELS
    assert number > 3


@pytest.mark.parametrize("times", [1, 2, 5])
def test_read_while_training_replaces_the_file_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    run = create_run(tmp_path / "run", CONFIG, LABELS)
    run.write(WEIGHTS, b"weights 0")
    left = [*range(times, 0, -1)]

    def train_then_digest(content: bytes) -> FileDigest:
        """Return a digest after the training process has written the weights of an epoch."""
        if left:
            run.write(WEIGHTS, f"weights {left.pop()}".encode())
        return digest_of(content)

    monkeypatch.setattr(digests, "digest_of", train_then_digest)
    assert run.read(WEIGHTS) == f"weights {times}".encode()


def test_write_to_run_without_digests_is_refused(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG, LABELS)
    (Path(run.location) / DIGESTS).unlink()
    with pytest.raises(CorruptDataError, match=r"digests\.json"):
        run.write(WEIGHTS, b"weights")
    (Path(run.location) / DIGESTS).mkdir()
    with pytest.raises((CorruptDataError, OutputError), match=r"digests\.json"):
        run.write(WEIGHTS, b"weights")
