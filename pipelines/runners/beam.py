"""Beam pipelines over shards: flags, submission, and the transform `MapShards`.

An element is the name of a shard. Workers read and write storage; no image passes through Beam.
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

from pipelines.runners.base import ShardTask, run_control, run_shard
from pipelines.runners.engines import BEAM, ENGINES, Engine, unshared_locations
from pipelines.runners.heartbeat import WorkerHeartbeat
from pipelines.runners.job_errors import whole_messages
from pipelines.runners.job_monitor import BeamJob
from records.errors import UsageError
from records.runtime.shard_worker import LOCAL, ProgressCallback
from records.text.escaping import escape_for_display

_NAMESPACE = "shardmill"
_IMAGES_DONE = "images_done"

_log = logging.getLogger("shardmill")


class MapShards(beam.PTransform):  # type: ignore[misc] # Beam has no types
    """A transform from shard names to the names of processed shards, in any order."""

    def __init__(self, task: ShardTask) -> None:
        super().__init__()
        self._task = task

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Distribute the names over all workers, and process each shard once."""
        return names | beam.Reshuffle() | "ProcessShard" >> beam.ParDo(ProcessShard(), self._task)


@beam.typehints.with_input_types(str, ShardTask)
@beam.typehints.with_output_types(str)
class ProcessShard(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Processes the shard of each name; yields the name if the shard is done.

    The task is an argument, because it may be the result of an earlier step of the pipeline.
    """

    def __init__(self) -> None:
        super().__init__()
        self._images_done = Metrics.counter(_NAMESPACE, _IMAGES_DONE)
        self._heartbeat: WorkerHeartbeat | None = None

    def process(self, name: str, task: ShardTask) -> list[str]:
        """Process one shard.

        Raises:
            StorageError: a temporary error that the runner retries.
            ShardmillError: an error of `WorkerHeartbeat.check_in`.
        """
        with whole_messages():
            done = run_shard(task, name, self._counter(task))
            return [] if done is None else [name]

    def _counter(self, task: ShardTask) -> ProgressCallback:
        """Return the function that counts images; check in with the run at its first shard."""
        heartbeat = self._heartbeat
        if heartbeat is None or heartbeat.run_id != task.run_id:
            heartbeat = WorkerHeartbeat(task.folder, task.run_id)
            heartbeat.check_in()
            self._heartbeat = heartbeat
        control = run_control(task.run_id)

        def count(images: int) -> None:
            control.add(images)
            self._images_done.inc(images)
            heartbeat.beat(control.images)

        return count


def make_job(
    task: ShardTask, names: Sequence[str], runner: str, beam_flags: Sequence[str]
) -> BeamJob:
    """Return a job that processes shards on a Beam runner."""
    engine = _engine(runner)

    @contextmanager
    def submit() -> Iterator[PipelineResult]:
        with engine.serve(parse_flags(beam_flags)[0]) as more_flags:
            options = PipelineOptions([*beam_flags, *more_flags])
            # Workers import the installed package; the main module is not pickled.
            options.view_as(SetupOptions).save_main_session = False
            pipeline = beam.Pipeline(runner=_create_runner(runner, options), options=options)
            pipeline | "Shards" >> beam.Create(list(names)) | "MapShards" >> MapShards(task)
            yield pipeline.run()

    return BeamJob(task, submit, engine.start_seconds)


def check_runner(runner: str, beam_flags: Sequence[str], locations: Sequence[str] = ()) -> None:
    """Report mistakes that Beam ignores, or reports only when the pipeline starts.

    Raises:
        UsageError: the runner or a flag is unknown, or a required flag is missing.
        RunnerError: no job server answers at `--job_endpoint`.
    """
    _create_runner(runner, PipelineOptions([]))
    flags, unknown = parse_flags(beam_flags)
    # A remote job server may support more flags; an argument without -- is not a flag.
    if unknown and (runner == LOCAL or not unknown[0].startswith("--")):
        raise UsageError("unknown Beam flag", got=unknown[0])
    if flags.runner is not None:
        raise UsageError(
            "the runner is an option of shardmill, not a Beam flag",
            hint=f"pass --runner {flags.runner}",
        )
    _engine(runner).check(flags, locations)
    _check_option_values(PipelineOptions(list(beam_flags)), runner)
    for location in unshared_locations(flags, locations):
        _log.warning(
            "%s is a local path: workers on other machines must reach the same folder at this path",
            escape_for_display(os.path.realpath(location)),
        )


def parse_flags(beam_flags: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options that Beam parses, and the arguments that are unknown to Beam."""
    parser = _FlagParser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in {str(kind): kind for kind in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)  # noqa: SLF001 Beam offers no public way
    flags, unknown = parser.parse_known_args(list(beam_flags))
    parser.require_sensible_numbers(flags)
    return flags, unknown


class _FlagParser(argparse.ArgumentParser):
    """A parser of Beam flags; value providers, for Dataflow templates, are kept as text."""

    def add_value_provider_argument(self, *names: str, **settings: Any) -> None:
        """Add an argument; the option classes of Beam call this method."""
        self.add_argument(*names, **settings)

    def require_sensible_numbers(self, flags: argparse.Namespace) -> None:
        """Check that numbers are numbers, and not negative unless the default is.

        Some flags have a number as their default, but no type. Raises UsageError.
        """
        for action in self._actions:
            default, value = action.default, getattr(flags, action.dest, None)
            is_number = action.type in {int, float} or type(default) in {int, float}
            if not is_number or value is None:
                continue
            flag = action.option_strings[0]
            lowest = min(0, default or 0)
            try:
                is_low = float(value) < lowest
            except ValueError:
                is_low = True
            if is_low:
                raise UsageError(
                    "a Beam flag is invalid",
                    expected=f"{flag}=N, a number from {lowest}",
                    got=f"{flag}={value}",
                )

    def error(self, message: str) -> NoReturn:
        raise UsageError("a Beam flag is invalid", got=message)


def _check_option_values(options: PipelineOptions, runner: str) -> None:
    """Run the option checks of Beam, which otherwise run only when a pipeline is made."""
    errors = PipelineOptionsValidator(options, _create_runner(runner, options)).validate()
    if errors:
        raise UsageError("a Beam flag is invalid", got=" ".join(errors[0].split()))


def _engine(runner: str) -> Engine:
    return ENGINES.get(runner, BEAM)


def _create_runner(runner: str, options: PipelineOptions) -> Any:
    # Chosen explicitly: the default runner of Beam looks for Prism, and downloads it.
    if runner == LOCAL:
        return _create_local_runner(options.view_as(DirectOptions))
    try:
        return create_runner(_engine(runner).runner or runner)
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        raise UsageError("unknown runner", got=f"{runner}: {error}") from error


def _create_local_runner(options: DirectOptions) -> FnApiRunner:
    if options.direct_running_mode != "multi_processing":
        return FnApiRunner()
    # The same runner as Beam creates for this mode, but its worker command prints nothing.
    options.direct_running_mode = "in_memory"
    # With exec, the shell that runs the command becomes the worker, a child of this process.
    worker = f"exec {shlex.quote(sys.executable)} -m pipelines.runners.beam_worker {os.getpid()}"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(worker))
