"""Datasets during and after an append that was killed at any call that changes files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from records import open_dataset, verify
from records.format import layout
from records.format.manifest import read_manifest
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.faults.calls import Faults, KilledError
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture

pytestmark = pytest.mark.usefixtures("without_helper_processes")
EVERY = pytest.param(1, marks=pytest.mark.slow)


def die() -> None:
    raise KilledError


@pytest.mark.parametrize("step", [43, EVERY])
def test_verify_after_append_killed_at_any_call_has_note_and_no_finding(
    convert: Convert, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    base = tmp_path / "base"
    convert(output=str(base), test=4)
    for number in range(7):
        make_file(source, f"cat/new{number}.png", make_picture(5000 + number))
    faults = Faults(monkeypatch, "change", "removal")
    number, is_killed, notes = 1, True, 0
    while is_killed:
        output = tmp_path / f"{number}"
        shutil.copytree(base, output)
        try:
            with faults.at(number, die):
                convert(output=str(output), append=True)
            is_killed = False
        except KilledError:
            pass
        assert list(verify(output)) == [], number
        assert len(open_dataset(output)) == 2
        result = CliRunner().invoke(shardmill, ["verify", str(output), "--json"])
        assert result.exit_code == 0, number
        unfinished = json.loads(result.stdout).get("unfinished")
        generations = len(read_manifest(open_storage(output)).generations)
        has_plan = (output / layout.RUN_PLAN).exists()
        assert (unfinished is not None) == (has_plan and generations == 1), number
        if unfinished is not None:
            notes += 1
            assert unfinished["started"].startswith("20")
            for command in ("verify", "stats", "inspect"):
                result = CliRunner().invoke(shardmill, [command, str(output)])
                assert result.exit_code == 0
                assert f", started {unfinished['started']}: " in result.stderr
        convert(output=str(output), append=True)
        assert list(verify(output)) == [], number
        if number == 1:
            expected = content_of(output)
        # The saved fingerprints depend on the number of runs.
        assert content_of(output).keys() == expected.keys()
        shutil.rmtree(output)
        number += step
    assert notes


def test_verify_stray_shard_during_append_is_still_a_finding(
    convert: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(test=4)
    make_file(source, "cat/new.png", make_picture(5000))
    faults = Faults(monkeypatch, "change", "removal")
    number = 0
    while not (output / layout.RUN_PLAN).exists():
        number += 3
        with faults.at(number, die), pytest.raises(KilledError):
            convert(append=True)
    stray = output / "generations/0002/train-00000-of-00009.tfrecord"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.touch()
    assert [finding.kind for finding in verify(output)] == ["unexpected"]
