"""The DAG in a real Airflow, and another DAG that its asset event starts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import pytest

from records.dataset import open_dataset
from tests.deploy.conftest import DEPLOY, ROOT
from tests.pipelines.pictures import make_file, make_folders, make_picture
from tests.s3.server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
DAG = "shardmill_nightly"
SCHEDULE = 'schedule="15 2 * * *"'  # otherwise, it may run with the folders of its parameters
SECONDS = 600
_END_SECONDS = 60
TRAINING_DAG = """
from datetime import UTC, datetime
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, AssetAlias

ALIAS = "shardmill_new_images"

def train(triggering_asset_events, **_):
    with open("{log}", "a") as log:
        for asset, events in triggering_asset_events.items():
            if asset.name != ALIAS:  # its events are listed for the asset, too
                for event in events:
                    print(asset.name, event.extra["generation"], file=log)

with DAG(
    "train",
    schedule=AssetAlias(ALIAS),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
):
    PythonOperator(task_id="train", python_callable=train)
"""


class Airflow(NamedTuple):
    """An Airflow with a separate database.

    Attributes:
        program: its command.
        home: its folder.
        url: the URL of its API server.
        variables: the environment of its commands.
    """

    program: Path
    home: Path
    url: str
    variables: Mapping[str, str]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [self.program, *arguments],
            env=os.environ | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the scheduler and all that it needs in the block."""
        with (self.home / "standalone.log").open("wb") as log:
            process = subprocess.Popen(
                [self.program, "standalone"],
                env=os.environ | self.variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_for_server()
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _wait_for_server(self) -> None:
        """Wait for the API server: a task that cannot reach it within seconds is retried later."""
        until = time.monotonic() + SECONDS
        while True:
            with suppress(OSError), urlopen(f"{self.url}/api/v2/version", timeout=30):
                return
            assert time.monotonic() < until, self.url
            time.sleep(1)

    def query(self, query: str) -> list[tuple[str, ...]]:
        """Return the rows of a query of the database."""
        with sqlite3.connect(self.home / "airflow.db", timeout=30) as database:
            return database.execute(query).fetchall()

    def read_events(self) -> list[tuple[str, dict[str, int]]]:
        """Return the name of the asset of each event, and the generation of its run."""
        query = "select name, asset_event.extra from asset_event join asset on asset.id = asset_id"
        own = [
            (row[0], json.loads(row[1])) for row in self.query(f"{query} order by asset_event.id")
        ]
        return [(name, {"generation": extra["generation"]}) for name, extra in own]

    def wait_for_runs(self, dag: str, number: int) -> list[str]:
        """Wait until this many runs of a DAG have ended; return their states."""
        until = time.monotonic() + SECONDS
        while True:
            runs = self.query(f"select state from dag_run where dag_id = '{dag}' order by id")
            states = [state for (state,) in runs]
            if len(states) >= number and not {*states} & {"queued", "running"}:
                return states
            log = self.home / "standalone.log"
            assert time.monotonic() < until, (dag, states, log.read_text(errors="replace")[-3000:])
            time.sleep(1)


@pytest.fixture
def airflow(environment: Path, tmp_path: Path) -> Airflow:
    """Return an Airflow with the DAG of deploy/ and one that it starts, `shardmill` on its PATH."""
    command = tmp_path / "bin" / "shardmill"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m shardmill "$@"\n')
    command.chmod(0o755)
    dags = tmp_path / "dags"
    dags.mkdir()
    text = (DEPLOY / "airflow" / f"{DAG}.py").read_text()
    (dags / f"{DAG}.py").write_text(text.replace(SCHEDULE, "schedule=None"))
    assert SCHEDULE in text
    (dags / "train.py").write_text(TRAINING_DAG.replace("{log}", str(tmp_path / "trained")))
    program = environment / "bin" / "airflow"
    home, port = tmp_path / "airflow", free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__PORT": f"{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": os.pathsep.join([f"{command.parent}", f"{program.parent}", os.environ["PATH"]]),
    }
    found = Airflow(program, home, url, variables)
    migrated = found("db", "migrate")
    assert migrated.returncode == 0, migrated.stdout
    return found


def test_airflow_dag_incremental_runs_append_and_new_class_fails(
    airflow: Airflow, tmp_path: Path
) -> None:
    photos, dataset = tmp_path / "photos", tmp_path / "dataset"
    params = json.dumps({"source": str(photos), "target": str(dataset)})
    dag_test = ("dags", "test", DAG, "-c", params)
    make_folders(photos, cat=12, dog=9)
    first = airflow(*dag_test)
    assert "state=success" in first.stdout, first.stdout
    for number in range(3):
        make_file(photos, f"cat/new-{number}.png", make_picture(100 + number))
    second = airflow(*dag_test)
    assert "state=success" in second.stdout, second.stdout
    manifest = open_dataset(dataset).manifest
    assert [each.counts.stored for each in manifest.generations] == [21, 3]
    events = [(str(dataset), {"generation": number}) for number in (1, 2)]
    assert airflow.read_events() == events
    nothing_new = airflow(*dag_test)
    assert "state=success" in nothing_new.stdout, nothing_new.stdout
    assert airflow.read_events() == events
    make_file(photos, "cow/000.png")
    third = airflow(*dag_test)
    assert "shardmill ended with exit code 2" in third.stdout, third.stdout
    assert "of shardmill_nightly has failed" in third.stdout
    assert "state=failed" in third.stdout
    assert len(open_dataset(dataset).manifest.generations) == 2


def test_airflow_scheduler_starts_another_dag_only_after_new_images(
    airflow: Airflow, tmp_path: Path
) -> None:
    photos, dataset, trained = tmp_path / "photos", tmp_path / "dataset", tmp_path / "trained"
    params = json.dumps({"source": str(photos), "target": str(dataset)})
    make_folders(photos, cat=12, dog=9)
    listed = airflow("dags", "reserialize")
    assert listed.returncode == 0, listed.stdout
    for dag in (DAG, "train"):
        assert airflow("dags", "unpause", dag).returncode == 0
    with airflow.running():

        def convert(number: int) -> str:
            """Run the DAG; return the state of the run."""
            triggered = airflow("dags", "trigger", DAG, "-c", params)
            assert triggered.returncode == 0, triggered.stdout
            return airflow.wait_for_runs(DAG, number)[-1]

        assert convert(1) == "success"
        assert airflow.wait_for_runs("train", 1) == ["success"]
        assert trained.read_text() == f"{dataset} 1\n"
        make_file(photos, "cat/new.png", make_picture(100))
        assert convert(2) == "success"
        assert airflow.wait_for_runs("train", 2) == ["success"] * 2
        assert convert(3) == "success"  # nothing new
        make_file(photos, "cow/000.png")
        assert convert(4) == "failed"
        make_file(photos, "dog/new.png", make_picture(101))
        shutil.rmtree(photos / "cow")
        assert convert(5) == "success"
        assert airflow.wait_for_runs("train", 3) == ["success"] * 3
    assert trained.read_text() == "".join(f"{dataset} {number}\n" for number in (1, 2, 3))
