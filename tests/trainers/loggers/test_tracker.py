"""Epochs of a run reach a tracking service, also one that fails for a while."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import pytest

from records.errors import CorruptDataError, StorageError, UsageError
from tests.trainers.test_config import CONFIG
from trainers.config import decode_config
from trainers.loggers.table import LOGGERS, check_loggers, open_loggers
from trainers.loggers.tracked_run import TrackedRun, describe_run, small_files
from trainers.loggers.tracker import TrackerLogger, describe_error, secret_variables
from trainers.options import Augmentation, TrainOptions
from trainers.options_file import encode_options
from trainers.runs.create import create_run
from trainers.runs.history import EpochMetrics
from trainers.runs.run_dir import Run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainers.loggers.base import Outcome

LABELS = ("disc", "square", "star", "arc", "dot")


class FakeTracker:
    """A service that keeps runs in memory, and fails as often as a test wants."""

    title = "Service"
    secrets: tuple[str, ...] = ("secret-key",)
    hint = "omit --log mlflow"

    def __init__(self, failures: int = 0, problem: str = "no answer") -> None:
        self.failures, self.problem = failures, problem
        self.begun: list[str | None] = []
        self.steps: list[int] = []
        self.ends: list[tuple[Outcome, list[str]]] = []

    def begin(self, run_id: str | None, description: TrackedRun) -> str:
        self._fail()
        self.begun.append(run_id)
        return run_id or "new-id"

    def place(self) -> str:
        return "run new-id at https://me:word@host/api"

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._fail()
        assert metrics["val_loss"] == step
        self.steps.append(step)

    def end(self, outcome: Outcome, files: Mapping[str, bytes]) -> None:
        self._fail()
        self.ends.append((outcome, [*files]))

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError(self.problem)


def epoch(step: int) -> EpochMetrics:
    return EpochMetrics(step, 0.5, 1.0, 0.5, float(step), 0.01, 3.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "flowers", CONFIG, LABELS)


def test_run_that_resumes_has_the_same_id(run: Run) -> None:
    tracker, lines = FakeTracker(), list[str]()
    TrackerLogger("mlflow", tracker, run, lines.append).close("interrupted")
    logger = TrackerLogger("mlflow", tracker, run, lines.append)
    logger.write_epoch(5, epoch(5))
    logger.close("finished")
    TrackerLogger("wandb", tracker, run, lines.append)
    assert tracker.begun == [None, "new-id", None]
    assert tracker.steps == [5]
    assert [outcome for outcome, _ in tracker.ends] == ["interrupted", "finished"]
    assert tracker.ends[0][1] == ["config.json"]
    assert lines == ["logging to Service: run new-id at https://host/api"] * 3
    ids = json.loads(run.folder.open("loggers.json").read())
    assert ids == {"mlflow": "new-id", "wandb": "new-id"}


def test_service_that_fails_later_gets_all_epochs_when_it_answers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, lines = FakeTracker(), list[str]()
    logger = TrackerLogger("mlflow", tracker, run, lines.append)
    tracker.failures, tracker.problem = 1, "POST https://me:word@host?key=secret-key\nmore"
    for step in (2, 4):
        logger.write_epoch(step, epoch(step))
    assert tracker.steps == []  # after a failure, it waits
    monkeypatch.setattr("trainers.loggers.tracker._RETRY_SECONDS", 0.0)
    tracker.failures = 1
    logger.close("finished")
    logger.write_epoch(6, epoch(6))
    assert tracker.steps == [2, 4, 6]
    failed = "Service failed: ConnectionError: POST https://host?key=***; "
    assert lines[1:] == [
        f"{failed}the run continues, and sends these metrics later",
        f"{failed}2 epochs may be missing there",
    ]


def test_run_whose_files_cannot_be_read_at_its_end_has_no_end_there(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_run: Run) -> dict[str, bytes]:
        raise StorageError("the store does not answer")

    tracker, lines = FakeTracker(), list[str]()
    logger = TrackerLogger("mlflow", tracker, run, lines.append)
    monkeypatch.setattr("trainers.loggers.tracker.small_files", fail)
    logger.close("finished")
    assert tracker.ends == []
    assert lines[1:] == [
        "Service failed: StorageError: the store does not answer; the run has no end there"
    ]


def test_service_that_does_not_accept_a_run_is_an_error_in_one_line(run: Run) -> None:
    tracker = FakeTracker(1, "the key secret-key is wrong")
    message = r"Service does not accept the run, got ConnectionError: the key \*\*\* is wrong; omit"
    with pytest.raises(StorageError, match=message):
        TrackerLogger("mlflow", tracker, run, print)
    assert not run.has("loggers.json")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"mlflow": "../x"}', b'{"other": "x"}'])
def test_damaged_ids_are_refused_with_the_file(run: Run, content: bytes) -> None:
    run.write_unrecorded("loggers.json", content)
    with pytest.raises(CorruptDataError, match=r"loggers.json: not the ids.*remove this file"):
        TrackerLogger("mlflow", FakeTracker(), run, print)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "finished"), (KeyboardInterrupt, "interrupted"), (ValueError, "failed")],
)
def test_loggers_learn_how_a_run_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None, outcome: str
) -> None:
    def train() -> None:
        with open_loggers(["mlflow"], run, lambda _: None) as loggers:
            loggers.write_step(1, {"loss": 1.0})
            if error is not None:
                raise error

    tracker = FakeTracker()
    module = SimpleNamespace(open_logger=lambda *given: TrackerLogger("mlflow", tracker, *given))
    monkeypatch.setitem(sys.modules, "fake_logger", module)
    monkeypatch.setitem(LOGGERS, "mlflow", LOGGERS["mlflow"]._replace(module="fake_logger"))
    with nullcontext() if error is None else pytest.raises(error):
        train()
    assert [found for found, _ in tracker.ends] == [outcome]


def test_run_is_described_by_its_options_without_credentials(tmp_path: Path) -> None:
    options = TrainOptions(
        features="s3://me:word@host/store?key=1", augment=Augmentation(flip="horizontal"),
        class_weights={"disc": 2.0}, log=("mlflow",),
    )  # fmt: skip
    config = msgspec.structs.replace(CONFIG, options=options, learning_rate=0.25)
    found = describe_run(create_run(tmp_path / "flowers", config, LABELS))
    assert found.name == "flowers"
    expected = {
        "learning_rate": 0.25, "image_size": "24x32", "augment.flip": "horizontal",
        "features": "s3://host/store", "class_weights": '{"disc": 2.0}', "log": '["mlflow"]',
        "balanced": False, "epochs": 10,
    }  # fmt: skip
    assert {name: found.parameters[name] for name in expected} == expected
    assert "ema" not in found.parameters
    assert len(found.parameters) <= 100  # the most that MLflow accepts at once
    assert found.tags["shardmill.dataset"] == "/data"


def test_files_of_a_run_have_no_credentials(tmp_path: Path) -> None:
    options = TrainOptions(features="ftp://me:word@host/store", weights="https://me:word@host/run")
    run = create_run(tmp_path / "run", msgspec.structs.replace(CONFIG, options=options), LABELS)
    run.write_unrecorded("options.toml", encode_options(options))
    found = small_files(run)
    assert [*found] == ["config.json", "options.toml"]
    for content in found.values():
        assert b"word" not in content
        assert b"ftp://host/store" in content
    kept = msgspec.structs.replace(run.config, options=TrainOptions())
    sent = decode_config(found["config.json"], path="config.json")
    assert msgspec.structs.replace(sent, options=TrainOptions()) == kept


def test_large_files_and_weights_are_no_small_files(run: Run) -> None:
    run.write_unrecorded("history.csv", b"x" * (1 << 20))
    run.write_unrecorded("curves.png", b"x" * ((1 << 20) + 1))
    run.write_unrecorded("model.weights.h5", b"x")
    assert [*small_files(run)] == ["config.json", "history.csv"]


def test_secrets_of_variables_are_values_and_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_URI", "https://me:pass-word@host/x")
    monkeypatch.setenv("A_TOKEN", "the-token")
    secrets = secret_variables("A_URI", "A_TOKEN", "A_MISSING")
    text = describe_error(OSError("pass-word the-token at https://me:pass-word@host"), secrets)
    assert text == "OSError: *** *** at https://host"


def test_missing_package_of_a_logger_is_one_line_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, kind in LOGGERS.items():
        monkeypatch.setitem(LOGGERS, name, kind._replace(package="no_such_package"))
        with pytest.raises(UsageError, match=rf"no_such_package is not installed; .*\[{name}\]"):
            check_loggers([name])
    check_loggers([])
