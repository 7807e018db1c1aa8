"""Where a pipeline runs: in this process, or on any runner that Beam knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import create_runner

from pipelines.transforms import WriteShards
from pipelines.write import Job
from records.errors import UsageError

LOCAL = "local"


def run_pipeline(job: Job, names: Sequence[str], runner: str, beam_flags: Sequence[str]) -> None:
    """Write the shards of these names; returns when the pipeline has ended.

    Raises:
        UsageError: there is no such runner, or a flag that Beam does not know.
        RuntimeError: the pipeline failed; Beam makes this of whatever went wrong.
    """
    options = _options(beam_flags)
    with beam.Pipeline(runner=_runner(runner), options=options) as pipeline:
        pipeline | "Shards" >> beam.Create(list(names)) | "WriteShards" >> WriteShards(job)


def _options(flags: Sequence[str]) -> PipelineOptions:
    options = PipelineOptions(list(flags))
    unknown = options.get_all_options(retain_unknown_options=False, drop_default=False)
    strangers = [flag for flag in flags if _name(flag) not in unknown and flag.startswith("--")]
    if strangers:
        raise UsageError("Beam does not know a flag", got=strangers[0])
    # Workers import the installed package; nothing of this process's main module goes along.
    options.view_as(SetupOptions).save_main_session = False
    return options


def _name(flag: str) -> str:
    return flag.lstrip("-").partition("=")[0].removeprefix("no_")


def _runner(name: str) -> Any:
    # Named explicitly: Beam's own default looks for a Prism binary and would download it.
    if name == LOCAL:
        return FnApiRunner()
    try:
        return create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError("there is no such runner", got=f"{name}: {error}") from error
