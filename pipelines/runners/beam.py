"""Where a pipeline runs: in processes of this machine, on an engine, on any runner of Beam's.

Thin Beam transforms: one element is one shard's name; no image byte crosses Beam.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, SetupOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipelines.options import LOCAL
from pipelines.runners.base import ShardTask, run_control, run_shard
from pipelines.runners.engines import BEAM, ENGINES, Engine, unshared_locations
from pipelines.runners.heartbeat import WorkerHeartbeat
from pipelines.runners.job_monitor import BeamJob
from records.errors import UsageError
from records.text.escaping import escape_for_display

_WORKER = f"{shlex.quote(sys.executable)} -m pipelines.runners.beam_worker"

_log = logging.getLogger("shardmill")


def execution(
    task: ShardTask, names: Sequence[str], runner: str, beam_flags: Sequence[str]
) -> BeamJob:
    """The shards of these names done by Beam, once that is run."""
    engine = _engine(runner)

    @contextmanager
    def submit() -> Iterator[PipelineResult]:
        with engine.serve(parse_flags(beam_flags)[0]) as more_flags:
            options = PipelineOptions([*beam_flags, *more_flags])
            # Workers import the installed package; nothing of the main module goes along.
            options.view_as(SetupOptions).save_main_session = False
            pipeline = beam.Pipeline(runner=_create(runner, options), options=options)
            pipeline | "Shards" >> beam.Create(list(names)) | "MapShards" >> MapShards(task)
            yield pipeline.run()

    return BeamJob(task, submit, engine.start_seconds)


def check_runner(runner: str, beam_flags: Sequence[str], locations: Sequence[str] = ()) -> None:
    """Refuse what Beam would pass over in silence, or only find when the pipeline starts.

    Raises:
        UsageError: there is no such runner, a flag that Beam does not know, or one is missing.
        RunnerError: nothing answers where jobs are to go.
    """
    _create(runner, PipelineOptions([]))
    flags, unknown = parse_flags(beam_flags)
    # A job server on the other side may know more flags; what is none at all it cannot mean.
    if unknown and (runner == LOCAL or not unknown[0].startswith("--")):
        raise UsageError("Beam does not know a flag", got=unknown[0])
    if flags.runner is not None:
        raise UsageError("the runner is no Beam flag here", hint=f"pass --runner {flags.runner}")
    _engine(runner).check(flags, locations)
    _refuse_invalid(PipelineOptions(list(beam_flags)), runner)
    for location in unshared_locations(flags, locations):
        _log.warning(
            "%s is no URL: workers on other machines must find it at the same path",
            escape_for_display(os.path.realpath(location)),
        )


def parse_flags(beam_flags: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Beam's flags as Beam understands them, and what it does not know."""
    parser = _FlagParser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in {str(kind): kind for kind in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)
    return parser.parse_known_args(list(beam_flags))


def _refuse_invalid(options: PipelineOptions, runner: str) -> None:
    """What Beam itself checks of flags, and tells only when a pipeline is made."""
    found = PipelineOptionsValidator(options, _create(runner, options)).validate()
    if found:
        raise UsageError("a Beam flag is wrong", got=" ".join(found[0].split()))


class _FlagParser(argparse.ArgumentParser):
    """Beam's flags; values that are templates for Dataflow are taken as they are."""

    def add_value_provider_argument(self, *names: str, **settings: Any) -> None:
        """Beam's options call this one too."""
        self.add_argument(*names, **settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError("a Beam flag is wrong", got=message)


def _engine(runner: str) -> Engine:
    return ENGINES.get(runner, BEAM)


def _create(runner: str, options: PipelineOptions) -> Any:
    # Named explicitly: Beam's own default looks for a Prism binary and would download it.
    if runner == LOCAL:
        return _local_runner(options.view_as(DirectOptions))
    try:
        return create_runner(_engine(runner).runner or runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError("there is no such runner", got=f"{runner}: {error}") from error


def _local_runner(options: DirectOptions) -> FnApiRunner:
    if options.direct_running_mode != "multi_processing":
        return FnApiRunner()
    # The same as Beam would make of this mode, but for the command: ours is silent.
    options.direct_running_mode = "in_memory"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(_WORKER))


NAMESPACE = "shardmill"
IMAGES_DONE = "images_done"


class PerformFn(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Has the shard of each name done; gives the name of each one that was."""

    def __init__(self, task: ShardTask) -> None:
        super().__init__()
        self._task = task
        self._images_done = Metrics.counter(NAMESPACE, IMAGES_DONE)

    def setup(self) -> None:
        """Look whether the run can be worked for. Raises as `WorkerHeartbeat.check_in`."""
        self._attendance = WorkerHeartbeat(self._task.folder, self._task.run_id)
        self._attendance.check_in()

    def process(self, name: str) -> list[str]:
        """Do one shard."""
        return [name] if run_shard(self._task, name, self._count) else []

    def _count(self, images: int) -> None:
        progress = run_control(self._task.run_id)
        progress.add(images)
        self._images_done.inc(images)
        self._attendance.tell(progress.images)


class MapShards(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """Names of shards → names of the shards done, spread over all workers."""

    def __init__(self, task: ShardTask) -> None:
        super().__init__()
        self._task = task

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """One worker call a shard, in any order, on any machine."""
        return names | beam.Reshuffle() | "Perform" >> beam.ParDo(PerformFn(self._task))
