"""Programs of the fork server behave as if they had been started by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.docs.fork_server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    with serve() as folder:
        yield folder


def run(*command: str | Path, **options: object) -> tuple[int, str, str]:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    return ended.returncode, ended.stdout, ended.stderr


def test_fork_server_program_has_own_arguments_folder_and_variables(
    programs: Path, tmp_path: Path
) -> None:
    text = (
        "import os, sys; print(__name__, sys.argv, os.getcwd(), os.environ, 'keras' in sys.modules)"
    )
    variables = {"A": "1", "PATH": os.environ["PATH"]}
    status, output, _ = run(programs / "python-c", text, cwd=tmp_path, env=variables)
    assert status == 0
    assert output.startswith(f"__main__ ['-c'] {tmp_path} environ(")
    assert "'A': '1'" in output
    assert "'HOME'" not in output
    assert output.endswith("True\n")


def test_fork_server_streams_and_exit_status_are_those_of_the_program(programs: Path) -> None:
    text = "import sys; print(input()); print('why', file=sys.stderr); sys.exit(7)"
    assert run(programs / "python-c", text, input="in\n") == (7, "in\n", "why\n")


def test_fork_server_exception_ends_with_status_1(programs: Path) -> None:
    status, _, errors = run(programs / "python-c", "1 / 0")
    assert status == 1
    assert errors.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("number", [9, 15])
def test_fork_server_signal_ends_the_client_too(programs: Path, number: int) -> None:
    text = f"import os; os.kill(os.getpid(), {number})"
    assert run(programs / "python-c", text) == (-number, "", "")


def test_fork_server_program_ends_with_its_client(programs: Path, tmp_path: Path) -> None:
    text = "import os, time; print(os.getpid(), flush=True); time.sleep(300)"
    client = subprocess.Popen([programs / "python-c", text], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    process = int(client.stdout.readline())
    client.kill()
    client.communicate()  # until the program has closed its stdout
    ends_by = time.monotonic() + 60
    while is_running(process):
        assert time.monotonic() < ends_by
        time.sleep(0.01)


def test_fork_server_command_line_is_that_of_shardmill(programs: Path) -> None:
    command = [sys.executable, "-m", "shardmill", "stats", "nothing"]
    assert run(programs / "shardmill", "stats", "nothing") == run(*command)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
