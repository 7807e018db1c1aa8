"""Cost of imports: no foreign framework, thread, output, parsed flag, filter or handler."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import shardmill.cli
from tests.pipelines.pictures import make_folders

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "jax", "apache_beam", "matplotlib", "opentelemetry", "pyarrow")
FOREIGN = {
    "records": ("tensorflow", "keras", "jax", "apache_beam", "pipelines", "trainers"),
    "pipelines": ("tensorflow", "keras", "jax", "trainers"),
    "trainers": ("apache_beam", "pipelines"),
}
COMMANDS = shardmill.cli.shardmill.list_commands(click.Context(shardmill.cli.shardmill))

# Runs in a fresh interpreter. A blocker on the meta path makes imports of foreign modules fail,
# and afterwards nothing may be left running or printed, and no flag parsed.
PRELUDE = """
import sys, threading

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in BLOCKED or name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Blocker())
"""
IMPORTS = """
import importlib, logging, os, warnings

def forbid(owner, name):
    original = getattr(owner, name)
    def called(*args, **options):
        caller = sys._getframe(1).f_globals.get("__name__", "")
        assert caller not in MODULES, f"{caller} calls {name} when it is imported"
        return original(*args, **options)
    setattr(owner, name, called)

forbid(warnings, "filterwarnings")
forbid(warnings, "simplefilter")
forbid(logging, "captureWarnings")
forbid(logging.Logger, "addHandler")
forbid(logging.Logger, "setLevel")
environment = dict(os.environ)
sys.argv = ["elsewhere", "--no-such-flag"]
for name in MODULES:
    importlib.import_module(name)
assert sys.argv == ["elsewhere", "--no-such-flag"]
assert not {name for name, value in environment.items() if os.environ.get(name) != value}
assert threading.active_count() == 1, threading.enumerate()
assert not logging.getLogger("shardmill").handlers
"""
HELP = """
import shardmill.cli
sys.argv = ["shardmill", *ARGUMENTS, "--help"]
shardmill.cli.main()
"""

# Each of them takes as long as the conversion of ten images, or belongs to another command.
NOT_FOR_CONVERT = (*HEAVY[:-1], "numpy.ma", "dateutil", "records.dataset", "pipelines.compact")
CONVERT = """
import os
import shardmill.cli
sys.argv = ["shardmill", "convert", *ARGUMENTS]
try:
    shardmill.cli.main()
finally:
    print(os.environ["OPENBLAS_NUM_THREADS"])
"""


def run_python(program: str, **constants: object) -> subprocess.CompletedProcess[str]:
    names = "".join(f"{name} = {value!r}\n" for name, value in constants.items())
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", names + PRELUDE + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def modules_of(package: str) -> list[str]:
    found = pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}.")
    return [package, *(module.name for module in found)]


@pytest.mark.parametrize("package", FOREIGN)
def test_package_modules_import_without_other_frameworks_or_side_effects(package: str) -> None:
    ended = run_python(IMPORTS, BLOCKED=FOREIGN[package], MODULES=modules_of(package))
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


def test_import_blocker_blocked_module_raises_import_error() -> None:
    ended = run_python(IMPORTS, BLOCKED=("apache_beam",), MODULES=["apache_beam"])
    assert "apache_beam must not be imported here" in ended.stderr


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)])
def test_command_help_imports_no_framework_and_shows_an_example(arguments: list[str]) -> None:
    ended = run_python(HELP, BLOCKED=HEAVY, ARGUMENTS=arguments)
    assert ended.returncode == 0, ended.stderr
    assert "Example" in ended.stdout
    assert " ".join(["shardmill", *arguments]) in ended.stdout.partition("Example")[2]


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("3", "3")])
def test_convert_imports_only_what_it_needs_and_starts_no_blas_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, used: str
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    make_folders(tmp_path / "photos", a=3, b=2)
    arguments = [str(tmp_path / "photos"), str(tmp_path / "data"), "--test", "0.4", "--quiet"]
    ended = run_python(CONVERT, BLOCKED=NOT_FOR_CONVERT, ARGUMENTS=arguments)
    assert (ended.returncode, ended.stdout) == (0, f"{used}\n"), ended.stderr
