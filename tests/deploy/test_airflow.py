"""The DAG in a real Airflow: new images, none, and a failure."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from records.dataset import open_dataset
from tests.deploy.conftest import DEPLOY, ROOT
from tests.pipelines.pictures import make_file, make_folders, make_picture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
Airflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def airflow(environment: Path, tmp_path: Path) -> Airflow:
    """Run an Airflow command, with a separate database and `shardmill` on its PATH."""
    command = tmp_path / "bin" / "shardmill"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m shardmill "$@"\n')
    command.chmod(0o755)
    variables = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DEPLOY / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [environment / "bin" / "airflow", *arguments],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    migrated = run("db", "migrate")
    assert migrated.returncode == 0, migrated.stdout
    return run


def read_events(folder: Path) -> list[tuple[str, dict[str, int]]]:
    """Return the name of the asset of each event, and the generation of its run."""
    query = "select name, asset_event.extra from asset_event join asset on asset.id = asset_id"
    with sqlite3.connect(folder / "airflow" / "airflow.db") as database:
        rows = database.execute(f"{query} order by asset_event.id").fetchall()
    own = [(name, json.loads(extra)) for name, extra in rows]
    return [(name, {"generation": extra["generation"]}) for name, extra in own]


def test_airflow_dag_incremental_runs_append_and_new_class_fails(
    airflow: Airflow, tmp_path: Path
) -> None:
    photos, dataset = tmp_path / "photos", tmp_path / "dataset"
    params = json.dumps({"source": str(photos), "target": str(dataset)})
    dag_test = ("dags", "test", "shardmill_nightly", "-c", params)
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
    assert read_events(tmp_path) == events
    nothing_new = airflow(*dag_test)
    assert "state=success" in nothing_new.stdout, nothing_new.stdout
    assert read_events(tmp_path) == events
    make_file(photos, "cow/000.png")
    third = airflow(*dag_test)
    assert "shardmill ended with exit code 2" in third.stdout, third.stdout
    assert "of shardmill_nightly has failed" in third.stdout
    assert "state=failed" in third.stdout
    assert len(open_dataset(dataset).manifest.generations) == 2
