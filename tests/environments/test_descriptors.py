"""Every command with standard streams that are closed, full, or a broken pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.environments import commands, fork_runner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
ROOT = Path(__file__).parents[2]
CORE = [name for name in commands.COMMANDS if name not in commands.NEEDS_KERAS]
Descriptors = tuple[str, ...]
USUAL: Descriptors = ("null", "file", "file")
IMPORTANT: tuple[Descriptors, ...] = (("closed", "closed", "closed"), ("null", "full", "file"))
_OUTPUTS = ("file", "closed", "full", "broken")
UNUSUAL: tuple[Descriptors, ...] = tuple(
    state for state in product(("null", "closed"), _OUTPUTS, _OUTPUTS) if state != USUAL
)


def run_in_forks(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    ended = subprocess.run(
        [sys.executable, "-m", fork_runner.__name__],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stderr
    results: list[dict[str, Any]] = json.loads(ended.stdout)
    return results


def make_case(
    arguments: Sequence[str], output: Path, descriptors: Sequence[str], **variables: str
) -> dict[str, Any]:
    return {
        "arguments": list(arguments),
        "output": str(output),
        "descriptors": list(descriptors),
        "variables": variables,
    }


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("inputs")
    commands.make_inputs(folder)
    return folder


def one_in_turn(command: str) -> tuple[Descriptors, ...]:
    """Return one of the important states, the next one for the next command."""
    return (IMPORTANT[CORE.index(command) % len(IMPORTANT)],)


def every_state(_command: str) -> tuple[Descriptors, ...]:
    """Return every state but the usual one."""
    return UNUSUAL


def test_calls_contain_every_command() -> None:
    assert set(commands.CALLS) == set(commands.COMMANDS)


@pytest.mark.parametrize("choose", [one_in_turn, pytest.param(every_state, marks=pytest.mark.slow)])
def test_command_closed_or_full_streams_exit_with_true_status(
    choose: Callable[[str], tuple[Descriptors, ...]], inputs: Path, tmp_path: Path
) -> None:
    pairs = [(command, state) for command in CORE for state in (USUAL, *choose(command))]
    cases = [
        make_case(
            commands.arguments(command, inputs, tmp_path / f"new{number}"),
            tmp_path / f"out{number}-",
            descriptors,
        )
        for number, (command, descriptors) in enumerate(pairs)
    ]
    usual: dict[str, Any] = {}
    for (command, descriptors), result in zip(pairs, run_in_forks(cases), strict=True):
        expected = usual.setdefault(command, result)
        assert expected["status"] == (66 if command == "clean" else 0), expected
        is_lost = descriptors[1] == "full" and expected["stdout"]
        status = 73 if is_lost else expected["status"]
        assert result["status"] == status, (command, descriptors, result)
        if descriptors[2] == "file":
            lines = expected["stderr"].count("\n") + bool(is_lost)
            assert result["stderr"].count("\n") == lines, (command, descriptors, result)


def test_help_full_stdout_exits_with_status_73(tmp_path: Path) -> None:
    states = [("null", "full", "file"), ("null", "broken", "file"), ("closed",) * 3]
    cases = [
        make_case([argument], tmp_path / "out", state)
        for argument, state in product(("--help", "--version"), states)
    ]
    cases += [make_case([name, "--help"], tmp_path / name, states[0]) for name in commands.COMMANDS]
    statuses = [result["status"] for result in run_in_forks(cases)]
    assert statuses == [73, 0, 0] * 2 + [73] * len(commands.COMMANDS)


def test_verify_findings_lost_output_keeps_exit_status_1(inputs: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    commands.make_inputs(tmp_path)
    (tmp_path / "data").rename(damaged)
    (damaged / "labels.txt").unlink()
    cases = [
        make_case(["verify", str(damaged)], tmp_path / "out", ("null", state, "file"))
        for state in ("full", "broken", "closed", "file")
    ]
    assert [result["status"] for result in run_in_forks(cases)] == [1] * 4


def test_open_files_closed_stderr_do_not_receive_native_output(tmp_path: Path) -> None:
    program = (
        "import os, shardmill.cli as cli\n"
        "def run():\n"
        "    with open('lock', 'w') as lock:\n"
        "        os.write(2, b'native')\n"
        "    return 0\n"
        "cli._run = run\n"
        "cli.main()"
    )
    command = f'{sys.executable} -c "$0" 0<&- 1>&- 2>&-'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        ["bash", "-c", command, program], cwd=tmp_path, env=environment, check=False
    )
    assert ended.returncode == 0
    assert (tmp_path / "lock").read_bytes() == b""
