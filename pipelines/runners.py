"""Where a pipeline runs: in this process, or on any runner that Beam knows."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, SetupOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipelines.options import LOCAL
from pipelines.task import Task
from pipelines.transforms import OverShards
from records.errors import UsageError

_WORKER = f"{shlex.quote(sys.executable)} -m pipelines.beam_worker"


def run_pipeline(task: Task, names: Sequence[str], runner: str, beam_flags: Sequence[str]) -> None:
    """Do the shards of these names; returns when the pipeline has ended.

    Raises:
        UsageError: there is no such runner.
        RuntimeError: the pipeline failed; Beam makes this of whatever went wrong.
    """
    options = PipelineOptions(list(beam_flags))
    # Workers import the installed package; nothing of this process's main module goes along.
    options.view_as(SetupOptions).save_main_session = False
    with beam.Pipeline(runner=_runner(runner, options), options=options) as pipeline:
        pipeline | "Shards" >> beam.Create(list(names)) | "OverShards" >> OverShards(task)


def check_runner(runner: str, beam_flags: Sequence[str]) -> None:
    """Refuse what Beam would pass over in silence, or only find when the pipeline starts.

    Raises:
        UsageError: there is no such runner, or a flag that Beam does not know.
    """
    _runner(runner, PipelineOptions([]))
    parser = _FlagParser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in {str(kind): kind for kind in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)
    known, unknown = parser.parse_known_args(list(beam_flags))
    # A job server on the other side may know more flags; what is none at all it cannot mean.
    if unknown and (runner == LOCAL or not unknown[0].startswith("--")):
        raise UsageError("Beam does not know a flag", got=unknown[0])
    if known.runner is not None:
        raise UsageError("the runner is no Beam flag here", hint=f"pass --runner {known.runner}")


class _FlagParser(argparse.ArgumentParser):
    """Beam's flags; values that are templates for Dataflow are taken as they are."""

    def add_value_provider_argument(self, *names: str, **settings: Any) -> None:
        """Beam's options call this one too."""
        self.add_argument(*names, **settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError("a Beam flag is wrong", got=message)


def _runner(name: str, options: PipelineOptions) -> Any:
    # Named explicitly: Beam's own default looks for a Prism binary and would download it.
    if name == LOCAL:
        return _local_runner(options.view_as(DirectOptions))
    try:
        return create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError("there is no such runner", got=f"{name}: {error}") from error


def _local_runner(options: DirectOptions) -> FnApiRunner:
    if options.direct_running_mode != "multi_processing":
        return FnApiRunner()
    # The same as Beam would make of this mode, but for the command: ours is silent.
    options.direct_running_mode = "in_memory"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(_WORKER))
