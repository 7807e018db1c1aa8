"""Heartbeat files of a driver and its workers on an engine.

runs/RUN.json       the package versions of the driver; exists while the run is active
workers/RUN/NAME    the number of images that a worker has processed, written every few seconds

Engines report the progress of a job only at its end, and do not stop workers when the driver is
stopped or killed. If a worker does not find the file of its run, the worker does not see the
storage of the driver, or is no longer needed: the run was stopped, has ended, or was resumed by a
later run.
"""

from __future__ import annotations

import platform
import secrets
import time
from functools import cache
from importlib.metadata import version

import msgspec
import pyarrow as pa

from records.errors import LockedError, RunnerError, StorageError
from records.format.layout import WORK_FOLDER
from records.images import encoder_versions
from records.runtime.shard_worker import CancelledError
from records.storage import Storage, is_url, open_storage
from records.storage.work_folder import remove_own_files
from records.strict_json import decode_json
from records.version import __version__

_RUNS = f"{WORK_FOLDER}/runs"
_WORKERS = f"{WORK_FOLDER}/workers"
LOCAL_SECONDS = 2.0
REMOTE_SECONDS = 10.0


class RunInfo(msgspec.Struct, frozen=True):
    """The package versions of the driver of a run."""

    versions: dict[str, str]


def start_run(output: Storage, run_id: str) -> None:
    """Announce a run, and make the remaining workers of earlier runs stop."""
    remove_own_files(output, _RUNS)
    remove_own_files(output, _WORKERS)
    output.replace(_run_name(run_id), msgspec.json.encode(RunInfo(package_versions())))


def end_run(output: Storage, run_id: str) -> None:
    """Make the workers of an ended or cancelled run stop."""
    output.remove(_run_name(run_id))


def is_active(output: Storage, run_id: str) -> bool:
    """Return whether a run was started, and neither ended nor replaced by a later run."""
    return output.stat(_run_name(run_id)) is not None


def taken_over(output: Storage) -> LockedError:
    """Return the error for a run that was replaced by a later one."""
    return LockedError(
        "another run has started to write here, and this run ends",
        path=output.url,
        hint="wait for the other run to end; let only one run at a time write to an output",
    )


def read_progress(folder: str, run_id: str) -> dict[str, int]:
    """Return the number of images that each worker has processed, by the name of the worker."""
    workers = open_storage(f"{folder.rstrip('/')}/{_WORKERS}/{run_id}")
    return {name: int(workers.read(name)) for name in workers.list()}


def heartbeat_interval(folder: str) -> float:
    """Return the seconds between the reports of a worker; more for an object store."""
    return REMOTE_SECONDS if is_url(folder) else LOCAL_SECONDS


class WorkerHeartbeat:
    """The heartbeat of a worker: finds its run, and reports its progress."""

    def __init__(self, folder: str, run_id: str) -> None:
        self.run_id = run_id
        self._output = open_storage(folder)
        self._interval = heartbeat_interval(folder)
        self._reported_at = -self._interval

    def check_in(self) -> None:
        """Check that this worker can process shards of the run.

        Raises:
            LockedError: a later run has started to write to the same output.
            StorageError: this machine does not see the storage that the driver writes to.
            RunnerError: a package that determines the written bytes has a different version here.
        """
        try:
            content = self._output.read(_run_name(self.run_id))
        except FileNotFoundError:
            if self._output.list(_RUNS):
                raise taken_over(self._output) from None
            raise StorageError(
                f"a worker on {platform.node()} does not see the files of this run",
                path=self._output.url,
                hint="every worker must reach source and output: use URLs such as s3://, or a"
                " folder that all machines share at the same path",
            ) from None
        _check_versions(decode_json(content, RunInfo).versions)

    def beat(self, images: int) -> None:
        """Report how many images this process has processed, if the interval has passed.

        Raises:
            CancelledError: the run has ended, or is cancelled.
        """
        now = time.monotonic()
        if now - self._reported_at < self._interval:
            return
        self._reported_at = now
        if not is_active(self._output, self.run_id):
            raise CancelledError
        name = f"{_WORKERS}/{self.run_id}/{_worker_name()}"
        self._output.replace(name, str(images).encode())


def _check_versions(wanted: dict[str, str]) -> None:
    present = package_versions()
    differing = sorted(name for name in wanted if present.get(name) != wanted[name])
    if differing:
        raise RunnerError(
            f"a worker on {platform.node()} and this command have different package versions",
            expected=_format(wanted, differing),
            got=_format(present, differing),
            hint="install the same wheel and the same lock file on all workers",
        )


@cache
def package_versions() -> dict[str, str]:
    """Return the package versions that must be equal on all machines to write the same bytes."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "apache-beam": version("apache-beam"),
        "shardmill": __version__,
        "pyarrow": pa.__version__,
        **encoder_versions(),
    }


@cache
def _worker_name() -> str:
    return f"{platform.node()}-{secrets.token_hex(4)}"


def _format(versions: dict[str, str], names: list[str]) -> str:
    return ", ".join(f"{name} {versions.get(name, 'none')}" for name in names)


def _run_name(run_id: str) -> str:
    return f"{_RUNS}/{run_id}.json"
