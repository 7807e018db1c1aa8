"""Engines by their short names: what each one needs before a run, and what it is given with it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from urllib.parse import urlsplit

from apache_beam.runners.portability.job_server import ExternalJobServer

from pipelines.runners.prism import find_prism, serve_prism
from records.errors import RunnerError, UsageError
from records.storage import is_url
from records.text.escaping import escape_for_display

_PAGE = "see docs/beam-runners.md"
_REACH_SECONDS = 10
_START_SECONDS = 300.0
_DATAFLOW_START_SECONDS = 1800.0
# After this Beam ends its stream of a job's states, and with it the run: longer than any takes.
_NO_TIMEOUT = "--job_server_timeout=100000000"
_PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism"

Check = Callable[[Namespace, Sequence[str]], None]
"""Refuses flags and locations that it cannot run with: UsageError or RunnerError."""
Serve = Callable[[Namespace], AbstractContextManager[list[str]]]
"""What is kept running during a run, and the flags that are passed for it beside the user's."""


def _check_nothing(_flags: Namespace, _locations: Sequence[str]) -> None:
    pass


@contextmanager
def _serve_nothing(_flags: Namespace) -> Iterator[list[str]]:
    yield []


@dataclass(frozen=True)
class Engine:
    """A place where pipelines run.

    Args:
        runner: Beam's name for it; empty where that is what the user gave.
        check: looks at what it needs, before anything is read or written.
        serve: what runs beside a run.
        start_seconds: how long it may take until a worker is heard of.
    """

    runner: str = ""
    check: Check = _check_nothing
    serve: Serve = _serve_nothing
    start_seconds: float = _START_SECONDS


def _check_cluster(flags: Namespace, _locations: Sequence[str]) -> None:
    """Flink or Spark: a job server that answers, and a word on where workers are."""
    _require_flag(flags, "job_endpoint", "HOST:PORT of the job server that Beam has for the engine")
    _require_flag(
        flags,
        "environment_type",
        "LOOPBACK, workers in this process, or EXTERNAL, worker pools, with"
        " --environment_config=HOST:PORT",
    )
    if flags.environment_type == "EXTERNAL" and not flags.environment_options:
        _require_flag(
            flags, "environment_config", "HOST:PORT of the worker pools, as the engine sees them"
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
            "there is no Prism to run",
            got=flags.prism_location or "no `prism` on the PATH",
            hint=f"`go install {_PRISM}@v{version('apache-beam')}` makes one,"
            " -- --prism_location=FILE names one",
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
    _require_flag(flags, "region", "where it runs, such as europe-west1")
    _require_flag(flags, "temp_location", "a folder that it may write to, gs://BUCKET/FOLDER")
    if not (flags.extra_packages or flags.sdk_container_image or flags.setup_file):
        raise UsageError(
            "workers of Dataflow must be told what to install",
            hint="add --extra_package=dist/shardmill-….whl (`make wheel`) or --sdk_container_image",
        )
    for location in locations:
        if urlsplit(location).scheme in {"", "file", "memory"}:
            raise UsageError(
                "workers of Dataflow cannot reach this",
                path=escape_for_display(location),
                hint="source and output must be URLs, such as gs://BUCKET/FOLDER",
            )
    if find_spec("google.cloud.dataflow") is None:
        raise UsageError(
            "Beam lacks what it needs for Dataflow", hint="pip install 'apache-beam[gcp]' first"
        )


def _require_flag(flags: Namespace, name: str, what: str) -> None:
    if not getattr(flags, name):
        raise UsageError(f"a flag behind -- is missing: --{name}=…", expected=what, hint=_PAGE)


def _ping(endpoint: str) -> None:
    try:
        ExternalJobServer(endpoint, timeout=_REACH_SECONDS).start()
    except Exception as error:
        raise RunnerError(
            "no job server answers",
            path=endpoint,
            hint=f"start it, or correct --job_endpoint; {_PAGE}",
        ) from error


ENGINES = {
    "flink": Engine("PortableRunner", _check_cluster, _serve_cluster),
    "spark": Engine("PortableRunner", _check_cluster, _serve_cluster),
    "prism": Engine("PortableRunner", _check_prism, _serve_prism),
    "dataflow": Engine("DataflowRunner", _check_dataflow, start_seconds=_DATAFLOW_START_SECONDS),
}
BEAM = Engine()
"""Any runner by Beam's own name for it."""


def unshared_locations(flags: Namespace, locations: Sequence[str]) -> list[str]:
    """The local folders that workers on other machines must find at the same path."""
    if flags.environment_type in {None, "", "LOOPBACK"}:
        return []
    return [location for location in locations if not is_url(location)]
