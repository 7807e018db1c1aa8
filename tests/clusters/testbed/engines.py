"""Engines of the clusters: jars from Maven, and Prism built by Go.

They are stored in `.engines/` in the repository, or in `SHARDMILL_ENGINES`, and are fetched only if
they are missing. The user's own settings of Maven and Go decide on the servers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

_HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("SHARDMILL_ENGINES", _HERE.parents[2] / ".engines"))
JARS = ("flink", "spark")
# Beam's job servers send all jars of their class path along with each job, except those whose path
# contains this. Task managers here have the same jars: a short job takes a third of the time.
_NOT_STAGED = Path("gradle", "wrapper")
_PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism"


class ClusterError(RuntimeError):
    """An engine that is unavailable or does not start; the text names it and the reason."""


def jars(name: str) -> Path:
    """Return the folder of an engine's jars, whether it exists or not."""
    return FOLDER / _NOT_STAGED / name


def prism() -> Path:
    """Return the path of Prism in the installed version of Beam, whether it exists or not."""
    return FOLDER / f"prism-{version('apache-beam')}" / "prism"


def fetch_jars(name: str) -> None:
    """Copy an engine's jars and their dependencies with Maven. Raise ClusterError."""
    if jars(name).is_dir():
        return
    unfinished = jars(f"{name}.unfinished")
    goal = ("dependency:copy-dependencies", f"-DoutputDirectory={unfinished}")
    _run("mvn", "--batch-mode", "--quiet", "--file", str(_HERE / f"{name}.xml"), *goal)
    unfinished.rename(jars(name))


def fetch_prism() -> None:
    """Build Prism with Go. Raise ClusterError."""
    if not prism().is_file():
        goal = f"{_PRISM}@v{version('apache-beam')}"
        _run("go", "install", goal, environ={"GOBIN": str(prism().parent)})


def _run(*command: str, environ: dict[str, str] | None = None) -> None:
    if shutil.which(command[0]) is None:
        raise ClusterError(f"{command[0]} is not installed: it fetches the engines")
    try:
        subprocess.run(command, check=True, env={**os.environ, **(environ or {})})
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"{command[0]} ended with {error.returncode}") from error
