"""Runs at URLs: kills, lost leases, and the commands that read them."""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import shardmill as sm
from records.errors import CorruptDataError, InputNotFoundError, LockedError, OutputError
from records.storage import open_remote
from records.storage.names import LEASE
from records.storage.remote import lease
from tests.faults.calls import KilledError
from tests.faults.requests import killed_at_request
from tests.trainers.conftest import make_source
from tests.trainers.test_config import CONFIG
from trainers.runs.create import create_run, open_for_writing, require_empty
from trainers.runs.digests import DIGESTS
from trainers.runs.resume import find_run
from trainers.runs.run_dir import HISTORY, RESULT, WEIGHTS, Run, is_run, open_run
from trainers.runs.run_folder import open_run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

LABELS = ("disc", "square", "star", "arc", "dot")
CHECKPOINTS = [f"checkpoints/step-{step:08}.weights.h5" for step in (1, 2)]


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/run"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the temporary folder, in which no copy may remain at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.glob("shardmill-*"))


@pytest.fixture
def remote(run_path: Path, url: str) -> str:
    """Return the URL of a copy of the trained run."""
    storage = open_remote(url)
    for path in run_path.rglob("*"):
        if path.is_file():
            storage.replace(path.relative_to(run_path).as_posix(), path.read_bytes())
    return url


def train_two_steps(url: str) -> None:
    """Write the files of a run as training does, with one checkpoint to keep."""
    with open_for_writing(url, CONFIG, LABELS) as run:
        run.write(CHECKPOINTS[0], b"first state")
        run.write(WEIGHTS, b"first weights")
        run.write_unrecorded(HISTORY, b"rows")
        run.write(CHECKPOINTS[1], b"second state")
        run.folder.remove(CHECKPOINTS[0])
        run.write(WEIGHTS, b"second weights")
        run.write_all({HISTORY: b"all rows", RESULT: b"{}"})


def resume(url: str) -> None:
    """Start or resume the run, as `train --resume` does, and finish it."""
    if find_run(url) is None:
        require_empty(url, resume=True)
    train_two_steps(url)


@pytest.mark.usefixtures("temporary")
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_run_killed_at_any_request_resumes(
    url: str, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.0)
    number, killed = 0, True
    while killed:
        number += stride
        place = f"{url}-{number}"
        try:
            with killed_at_request(number):
                train_two_steps(place)
            killed = False
        except KilledError:
            folder = open_run_folder(place)
            if is_run(folder):
                run = Run(folder, CONFIG, LABELS)
                for name in (CHECKPOINTS[0], CHECKPOINTS[1], WEIGHTS, RESULT):
                    if run.has(name):
                        run.check(name)
            resume(place)
        assert open_run(place).read(WEIGHTS) == b"second weights"
        assert set(open_remote(place).list()) == {
            "config.json", "options.toml", "labels.txt", DIGESTS, WEIGHTS, HISTORY, RESULT,
            CHECKPOINTS[1],
        }  # fmt: skip
    assert number > 100


def test_second_training_of_a_run_is_refused(url: str) -> None:
    with (
        open_for_writing(url, CONFIG, LABELS),
        pytest.raises(LockedError, match="another run is writing here"),
        open_for_writing(url, CONFIG, LABELS),
    ):
        pass
    assert open_remote(url).list() == []  # the run had no weights


def test_run_whose_lease_another_process_took_over_writes_nothing(url: str) -> None:
    before: dict[str, bytes] = {}

    def train_suspended() -> None:
        with open_for_writing(url, CONFIG, LABELS) as run:
            run.write(WEIGHTS, b"weights")
            before.update({name: open_remote(url).read(name) for name in (WEIGHTS, DIGESTS)})
            other = b'{"token": "other", "renewal": 1, "renewed_at": 0}'
            open_remote(url).replace(LEASE, other)
            run.write(WEIGHTS, b"weights of a process that was suspended")

    with pytest.raises(LockedError, match="another run took over"):
        train_suspended()
    assert {name: open_remote(url).read(name) for name in before} == before


def test_folder_with_files_at_a_url_is_refused(url: str) -> None:
    open_remote(url).replace("thesis.doc", b"")
    with pytest.raises(OutputError, match="contains files and is not overwritten"):
        require_empty(url, resume=True)
    with pytest.raises(OutputError, match="contains files"):
        create_run(url, CONFIG, LABELS)
    assert open_remote(url).list() == ["thesis.doc"]
    with pytest.raises(InputNotFoundError, match=f"{url}: not a run folder"):
        open_run(url)


def test_damaged_weights_at_a_url_are_refused(remote: str, temporary: Path) -> None:
    del temporary
    storage = open_remote(remote)
    content = bytearray(storage.read(WEIGHTS))
    content[len(content) // 2] ^= 1
    storage.replace(WEIGHTS, bytes(content))
    with (
        pytest.raises(CorruptDataError, match=f"{remote}/{WEIGHTS}: the file was changed"),
        open_run(remote).checked_file(WEIGHTS),
    ):
        pass


@pytest.mark.usefixtures("temporary")
def test_commands_read_run_at_a_url_as_its_local_copy(
    run_path: Path, remote: str, shapes: Path, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from shardmill.cli import shardmill

    def invoke(*arguments: object) -> tuple[str, str]:
        result = CliRunner().invoke(shardmill, list(map(str, arguments)), catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return result.stdout, result.stderr

    local, _ = invoke("evaluate", run_path, shapes, "--mistakes=0", "--json")
    found, drawn = invoke("evaluate", remote, shapes, "--mistakes=0", "--json")
    assert json.loads(found) == json.loads(local)
    assert f"confusion matrix: {remote}/confusion-test.png\n" in drawn
    assert open_remote(remote).read("confusion-test.png").startswith(b"\x89PNG")
    exported = f"{remote}-exported"
    use, note = invoke("export", remote, exported)
    assert use == 'keras.models.load_model("run-exported/model.keras")\n'
    assert f"wrote {exported}; to load the model, copy it to the folder run-exported\n" in note
    invoke("export", run_path, tmp_path / "exported")
    names = sorted(path.name for path in (tmp_path / "exported").iterdir())
    assert {"labels.txt", "model.keras"} < {*names}
    assert open_remote(exported).list() == names
    labels = (tmp_path / "exported" / "labels.txt").read_bytes()
    assert open_remote(exported).read("labels.txt") == labels
    with pytest.raises(OutputError, match="the output exists and is not overwritten"):
        sm.export(remote, exported)


@pytest.mark.usefixtures("temporary")
def test_python_functions_take_the_url_of_a_run(run_path: Path, remote: str, shapes: Path) -> None:
    images = [make_source(number).data for number in (150, 151)]
    predictor = sm.Predictor(remote)
    assert repr(predictor).startswith(f"<Predictor {remote}: cnn")
    assert predictor.predict(images) == sm.Predictor(run_path).predict(images)
    options = {"epochs": 4, "batch_size": 8, "image_size": (24, 32), "learning_rate": 3e-3}
    done = sm.train(shapes, remote, seed=3, resume=True, **options)  # type: ignore[arg-type]
    assert done == sm.train(shapes, run_path, seed=3, resume=True, **options)  # type: ignore[arg-type]
