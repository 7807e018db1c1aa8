"""The core alone, in a new environment: convert, verify, stats, inspect, random access."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.pictures import make_folders

ROOT = Path(__file__).parents[1]
EXTRAS = ("apache_beam", "h5py", "imagehash", "keras", "matplotlib", "tensorflow")
# Lines of the lock file without hashes: the versions that everything else is tested with.
LOCK = ROOT / "requirements.lock"

READ = """
import importlib.util, shardmill as sm
assert not [name for name in {extras} if importlib.util.find_spec(name)]
dataset = sm.open_dataset({data!r})
record = dataset["train"][3]
assert record.decode().shape == (record.height, record.width, 3)
assert not list(sm.verify({data!r}))
print(sm.stats({data!r}), sm.inspect({data!r}), repr(record), sm.__version__)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the core of this checkout and nothing else."""
    folder = tmp_path_factory.mktemp("core")
    uv = Path(sys.executable).with_name("uv")
    versions = folder / "versions.txt"
    pinned = [line.split(" \\")[0] for line in LOCK.read_text().splitlines() if "==" in line]
    versions.write_text("\n".join(pinned))
    interpreter = folder / "env" / "bin" / "python"
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "--quiet", "--python", sys.executable, folder / "env"],
        [uv, "pip", "install", "--quiet", "--python", interpreter, "-c", versions, ROOT],
    )
    for command in commands:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    return interpreter


@pytest.fixture(scope="module")
def data(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that the core converted."""
    folder = tmp_path_factory.mktemp("converted")
    make_folders(folder / "photos", cat=9, dog=8)
    ended = run(python, "convert", folder / "photos", folder / "data", "--test", "0.3", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["status"] == "converted"
    return folder / "data"


def run(python: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run_python(python, "-m", "shardmill", *arguments)


def run_python(python: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the interpreter without PYTHONPATH, which would lead to this checkout."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [python, *map(str, arguments)],
        env=environment,
        cwd=python.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", [["verify"], ["verify", "--decode"], ["stats"], ["inspect"]])
def test_core_command_on_dataset_exits_with_status_0(
    python: Path, data: Path, command: list[str]
) -> None:
    ended = run(python, *command, data)
    assert ended.returncode == 0, ended.stderr


def test_core_contact_sheet_is_drawn_without_matplotlib(
    python: Path, data: Path, tmp_path: Path
) -> None:
    ended = run(python, "inspect", data, "--grid", tmp_path / "grid.png")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_core_python_api_reads_records_and_imports_no_extra(python: Path, data: Path) -> None:
    program = READ.format(extras=EXTRAS, data=str(data))
    ended = run_python(python, "-c", program)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["train", "DATA", "run"], "train"),
        (["stats", "DATA", "--plot", "classes.png"], "plot"),
        (["stats", "DATA", "--near"], "dedup"),
        (["convert", "SOURCE", "other", "--runner", "prism"], "beam"),
        (["verify", "s3://bucket/data"], "s3"),
    ],
)
def test_missing_extra_is_one_line_with_the_install_command(
    python: Path, data: Path, tmp_path: Path, arguments: list[str], extra: str
) -> None:
    places = {"DATA": data, "SOURCE": data.parent / "photos", "other": tmp_path / "other"}
    ended = run(python, *(places.get(argument, argument) for argument in arguments))
    assert ended.returncode == 2, ended.stderr
    assert f'pip install "shardmill[{extra}]"' in ended.stderr
    assert "Traceback" not in ended.stderr
