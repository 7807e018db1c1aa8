"""Abrupt end of the process at any changing call, mid-write too.

It runs in a separate process because it forks: each child converts and ends at its n-th call; the
next one finishes the work, and the parent checks the remaining files.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SCRIPT = '''
import logging, os, sys
from pathlib import Path

import pytest

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from records import verify
from records.format import layout
from tests.faults.calls import Faults
from tests.faults.conftest import InProcessStore
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders

logging.disable()
folder, step = Path(sys.argv[1]), int(sys.argv[2])
source = make_folders(folder / "source", cat=6, dog=5)
make_file(source, "dog/bad.png", CORRUPT)


def convert_source(output):
    convert(ConvertOptions(source=str(source), output=str(output), shards=2, test=2, max_rejects=2))


def in_child(output, at):
    """The exit status of a process that converts, and ends at a call of this number."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    patch = pytest.MonkeyPatch()
    patch.setattr("pipelines.writing.shard.SubprocessNormalizer", InProcessStore)
    faults = Faults(patch, "change", "removal")
    try:
        with faults.at(at, lambda: os._exit(9)):
            convert_source(output)
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


assert in_child(folder / "expected", None) == 0
expected = content_of(folder / "expected")
calls, ended = 0, 9
while ended == 9:
    calls += step
    output = folder / str(calls)
    ended = in_child(output, calls)
    assert ended in {0, 9}, (calls, ended)
    if (output / layout.MANIFEST).exists():
        findings = list(verify(output))
        assert not findings, (calls, findings)
    else:
        assert ended == 9, calls
    assert in_child(output, None) == 0, calls
    assert content_of(output) == expected, calls
print(calls)
'''


@pytest.mark.parametrize("step", [47, pytest.param(1, marks=pytest.mark.slow)])
def test_convert_process_exits_at_any_call_then_rerun_completes(tmp_path: Path, step: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path), str(step)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 100
