"""A run and its workers elsewhere, who know of each other by files in the work folder alone.

runs/RUN.json       there as long as the run goes on: what it was made with
workers/RUN/NAME    how many images a worker has done, renewed every few seconds

Engines tell nobody how far a job is before it ends, nor their workers that the driver was stopped
or died. A worker that does not find its run does not see the driver's storage, or is not wanted any
more: the run was stopped, has ended, or another one goes on with it.
"""

from __future__ import annotations

import platform
import secrets
import time
from functools import cache
from importlib.metadata import version

import msgspec
import pyarrow as pa

from pipelines.runners.base import CancelledError
from records.errors import RunnerError, StorageError
from records.format.layout import WORK_FOLDER
from records.images import encoder_versions
from records.storage import Storage, is_url, open_storage
from records.strict_json import decode_json

_RUNS = f"{WORK_FOLDER}/runs"
_WORKERS = f"{WORK_FOLDER}/workers"
_LOCAL_SECONDS = 2.0
_REMOTE_SECONDS = 10.0


class RunInfo(msgspec.Struct, frozen=True):
    """What a run was made with."""

    versions: dict[str, str]


def start_run(output: Storage, run_id: str) -> None:
    """Say that a run goes on; workers of an earlier one, should any live, find themselves done."""
    output.remove_folder(_RUNS)
    output.remove_folder(_WORKERS)
    output.replace(_run_name(run_id), msgspec.json.encode(RunInfo(own_versions())))


def end_run(output: Storage, run_id: str) -> None:
    """Say that a run is over, or is to stop."""
    output.remove(_run_name(run_id))


def read_progress(folder: str, run_id: str) -> dict[str, int]:
    """Images done by each worker that was heard of, by its name."""
    told = open_storage(f"{folder.rstrip('/')}/{_WORKERS}/{run_id}")
    return {name: int(told.read(name)) for name in told.list()}


def heartbeat_interval(folder: str) -> float:
    """How often workers tell of themselves: less often where each word is a request to a store."""
    return _REMOTE_SECONDS if is_url(folder) else _LOCAL_SECONDS


class WorkerHeartbeat:
    """A worker's side: it sees the run it works for, and tells how far it is."""

    def __init__(self, folder: str, run_id: str) -> None:
        self._output = open_storage(folder)
        self._run_id = run_id
        self._seconds = heartbeat_interval(folder)
        self._told_at = -self._seconds

    def check_in(self) -> None:
        """Look whether this worker can do anything for the run.

        Raises:
            StorageError: the storage that the driver writes to is not seen from here.
            RunnerError: something that decides over bytes is of another version here.
        """
        try:
            content = self._output.read(_run_name(self._run_id))
        except FileNotFoundError:
            raise StorageError(
                f"a worker on {platform.node()} does not see what this run keeps there",
                path=self._output.url,
                hint="source and output must be where every worker reaches them: a URL such as"
                " s3://, or a folder that all machines share under the same path",
            ) from None
        _check_versions(decode_json(content, RunInfo).versions)

    def tell(self, images: int) -> None:
        """Tell how many images this process has done, if it is time to.

        Raises:
            CancelledError: the run is over, or is to stop.
        """
        now = time.monotonic()
        if now - self._told_at < self._seconds:
            return
        self._told_at = now
        if self._output.stat(_run_name(self._run_id)) is None:
            raise CancelledError
        name = f"{_WORKERS}/{self._run_id}/{_own_name()}"
        self._output.replace(name, str(images).encode())


def _check_versions(wanted: dict[str, str]) -> None:
    present = own_versions()
    differing = sorted(name for name in wanted if present.get(name) != wanted[name])
    if differing:
        raise RunnerError(
            f"a worker on {platform.node()} has other versions than this command",
            expected=_show(wanted, differing),
            got=_show(present, differing),
            hint="install the same wheel and the same lock file for all workers",
        )


@cache
def own_versions() -> dict[str, str]:
    """What decides whether a worker understands a run, and which bytes it writes."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "apache-beam": version("apache-beam"),
        "shardmill": version("shardmill"),
        "pyarrow": pa.__version__,
        **encoder_versions(),
    }


@cache
def _own_name() -> str:
    return f"{platform.node()}-{secrets.token_hex(4)}"


def _show(versions: dict[str, str], names: list[str]) -> str:
    return ", ".join(f"{name} {versions.get(name, 'none')}" for name in names)


def _run_name(run_id: str) -> str:
    return f"{_RUNS}/{run_id}.json"
