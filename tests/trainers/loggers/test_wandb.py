"""Runs in the local files of Weights & Biases, read back without a network."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from records.errors import UsageError
from tests.trainers.test_config import CONFIG
from trainers.runs.create import create_run
from trainers.runs.history import EpochMetrics

if TYPE_CHECKING:
    from pathlib import Path

    from trainers.runs.run_dir import Run

LABELS = ("disc", "square", "star", "arc", "dot")
wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.slow
_HEADER_BYTES, _BLOCK_BYTES = 7, 1 << 15
_LAST_KINDS = {1, 4}  # a whole record, and the last part of one


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("WANDB_API_KEY", "WANDB_PROJECT", "WANDB_NAME", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # a saved key
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "local"))
    (tmp_path / "local").mkdir()
    wandb.teardown()  # it keeps the settings of a process
    return create_run(tmp_path / "flowers", CONFIG, LABELS)


def epoch(step: int) -> EpochMetrics:
    return EpochMetrics(step, 0.5, 1.0, 0.5, step / 10, 0.01, 3.0)


def read_records(path: Path) -> list[Any]:
    """Return the records of a file that `wandb sync` would send: a log in the format of LevelDB."""
    from wandb.proto import wandb_internal_pb2

    content, records, whole = path.read_bytes(), [], b""
    assert content[:4] == b":W&B"
    place = _HEADER_BYTES
    while place + _HEADER_BYTES <= len(content):
        if (rest := -place % _BLOCK_BYTES) < _HEADER_BYTES and rest:
            place += rest
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        place += _HEADER_BYTES
        whole += content[place : place + size]
        place += size
        if kind in _LAST_KINDS:
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            records.append(record)
            whole = b""
    return records


def read_history(records: list[Any]) -> list[dict[str, Any]]:
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in found}
        for found in (record.history.item for record in records if record.HasField("history"))
    ]


def test_run_that_resumes_has_one_id_and_the_steps_of_the_run(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from trainers.loggers.wandb import open_logger

    lines: list[str] = []
    for steps, outcome in (((2, 4), "interrupted"), ((6,), "finished")):
        logger = open_logger(run, lines.append)
        for step in steps:
            logger.write_epoch(step, epoch(step))
        logger.close(outcome)  # type: ignore[arg-type]
    wandb.teardown()  # waits until the files are written
    paths = sorted(tmp_path.glob("local/wandb/offline-run-*/*.wandb"))
    found = [read_records(path) for path in paths]
    histories = [row for records in found for row in read_history(records)]
    assert [(row["_step"], row["val_loss"]) for row in histories] == [(2, 0.2), (4, 0.4), (6, 0.6)]
    (run_id,) = {
        record.run.run_id for records in found for record in records if record.HasField("run")
    }
    assert json.loads(run.folder.open("loggers.json").read()) == {"wandb": run_id}
    config = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in found[0]
        for item in (*record.run.config.update, *record.config.update)
    }
    assert config["batch_size"] == 32
    assert config["shardmill.dataset"] == "/data"
    names = {path.name for path in tmp_path.glob("local/wandb/offline-run-*/files/*")}
    assert {"config.json"} <= names
    assert all(run_id in line for line in lines)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_run_without_a_key_is_refused_and_does_not_ask(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.loggers.wandb import open_logger

    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UsageError, match=r"no key for Weights & Biases.*set WANDB_MODE=offline"):
        open_logger(run, print)
    assert not run.has("loggers.json")


def test_run_in_a_folder_that_is_offline_needs_no_key(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.loggers.wandb import open_logger

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.chdir(tmp_path / "local")
    folder = tmp_path / "local" / "wandb"
    folder.mkdir()
    (folder / "settings").write_text("[default]\nmode = offline\n")  # as `wandb offline` does
    logger = open_logger(run, print)
    logger.write_epoch(2, epoch(2))
    logger.close("finished")
    assert len([*folder.glob("offline-run-*")]) == 1


def test_run_with_a_disabled_client_writes_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.loggers.wandb import open_logger

    monkeypatch.setenv("WANDB_MODE", "disabled")
    lines: list[str] = []
    logger = open_logger(run, lines.append)
    logger.write_epoch(2, epoch(2))
    logger.close("finished")
    assert len(lines) == 1
    assert [*(tmp_path / "local").iterdir()] == []
