"""Engines by name: required flags, checks, and servers to start."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from urllib.parse import urlsplit

from apache_beam.runners.portability.job_server import ExternalJobServer

from pipelines.runners.job_monitor import START_SECONDS
from pipelines.runners.prism import find_prism, serve_prism
from records.errors import RunnerError, UsageError
from records.runtime.docs import docs_page
from records.storage import is_url
from records.text.escaping import escape_for_display

_DOCS = f"see {docs_page('how-to/beam-runners')}"
PING_SECONDS = 10
_DATAFLOW_START_SECONDS = 1800.0
# After this time, Beam ends its stream of job states and thus the run. No run takes that long.
_NO_TIMEOUT = "--job_server_timeout=100000000"
_PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism"

Check = Callable[[Namespace, Sequence[str]], None]
"""A function that raises UsageError or RunnerError for unsupported flags and locations."""
Serve = Callable[[Namespace], AbstractContextManager[list[str]]]
"""A context manager that keeps a server running during a job, and yields additional flags."""


def _check_nothing(_flags: Namespace, _locations: Sequence[str]) -> None:
    pass


@contextmanager
def _serve_nothing(_flags: Namespace) -> Iterator[list[str]]:
    yield []


@dataclass(frozen=True)
class Engine:
    """An engine that runs pipelines.

    Args:
        runner: the name of the Beam runner; empty to use the name that the user passes.
        check: the function that checks flags before anything is read or written.
        serve: the context manager that keeps a server running during a job.
        start_seconds: the time limit for the start of the first worker, in seconds.
    """

    runner: str = ""
    check: Check = _check_nothing
    serve: Serve = _serve_nothing
    start_seconds: float = START_SECONDS


def _check_cluster(flags: Namespace, _locations: Sequence[str]) -> None:
    """Check that the job server of Flink or Spark answers, and that flags configure the workers."""
    _require_flag(flags, "job_endpoint", "HOST:PORT of the Beam job server for the engine")
    _require_flag(
        flags,
        "environment_type",
        "LOOPBACK (workers in this process), or EXTERNAL (worker pools) with"
        " --environment_config=HOST:PORT",
    )
    if flags.environment_type == "EXTERNAL" and not flags.environment_options:
        _require_flag(
            flags, "environment_config", "HOST:PORT of the worker pools, as seen by the engine"
        )
    _ping(flags.job_endpoint)


@contextmanager
def _serve_cluster(_flags: Namespace) -> Iterator[list[str]]:
    yield [_NO_TIMEOUT]


def _check_prism(flags: Namespace, _locations: Sequence[str]) -> None:
    if flags.job_endpoint:
        _ping(flags.job_endpoint)
    elif find_prism(flags) is None:
        raise UsageError(
            "Prism not found",
            got=flags.prism_location or "no `prism` on the PATH",
            hint=f"install it with `go install {_PRISM}@v{version('apache-beam')}`,"
            " or pass -- --prism_location=FILE",
        )


@contextmanager
def _serve_prism(flags: Namespace) -> Iterator[list[str]]:
    shared = [_NO_TIMEOUT, f"--environment_type={flags.environment_type or 'LOOPBACK'}"]
    if flags.job_endpoint:
        yield shared
        return
    with serve_prism(find_prism(flags) or "prism") as endpoint:
        yield [*shared, f"--job_endpoint={endpoint}"]


def _check_dataflow(flags: Namespace, locations: Sequence[str]) -> None:
    _require_flag(flags, "project", "the ID of a Google Cloud project")
    _require_flag(flags, "region", "a region of Google Cloud, such as europe-west1")
    _require_flag(flags, "temp_location", "a folder for temporary files, gs://BUCKET/FOLDER")
    if not (flags.extra_packages or flags.sdk_container_image or flags.setup_file):
        raise UsageError(
            "Dataflow workers have no package to install",
            hint="add --extra_package=dist/shardmill-….whl (`make wheel`) or --sdk_container_image",
        )
    for location in locations:
        if urlsplit(location).scheme in {"", "file", "memory"}:
            raise UsageError(
                "Dataflow workers cannot read local files",
                path=escape_for_display(location),
                hint="use URLs, such as gs://BUCKET/FOLDER",
            )
    if find_spec("google.cloud.dataflow") is None:
        raise UsageError(
            "the Dataflow packages of Beam are missing",
            hint="install them with `pip install 'apache-beam[gcp]'`",
        )


def _require_flag(flags: Namespace, name: str, what: str) -> None:
    if not getattr(flags, name):
        raise UsageError(
            f"a Beam flag is missing: add --{name}=… after --", expected=what, hint=_DOCS
        )


def _ping(endpoint: str) -> None:
    try:
        ExternalJobServer(endpoint, timeout=PING_SECONDS).start()
    except Exception as error:
        raise RunnerError(
            "no job server answers",
            path=endpoint,
            hint=f"start it, or correct --job_endpoint; {_DOCS}",
        ) from error


ENGINES = {
    "flink": Engine("PortableRunner", _check_cluster, _serve_cluster),
    "spark": Engine("PortableRunner", _check_cluster, _serve_cluster),
    "prism": Engine("PortableRunner", _check_prism, _serve_prism),
    "dataflow": Engine("DataflowRunner", _check_dataflow, start_seconds=_DATAFLOW_START_SECONDS),
}
BEAM = Engine()
"""The engine of all Beam runners that are not in `ENGINES`."""


def unshared_locations(flags: Namespace, locations: Sequence[str]) -> list[str]:
    """Return the local paths that must also exist on the machines of the workers."""
    if flags.environment_type in {None, "", "LOOPBACK"}:
        return []
    return [location for location in locations if not is_url(location)]
