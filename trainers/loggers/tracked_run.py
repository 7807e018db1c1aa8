"""Description of a run for tracking services, and its small files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from records.storage import redact_url
from records.text.escaping import escape_surrogates
from records.version import __version__
from trainers.config import encode_config
from trainers.options_file import encode_options
from trainers.runs.run_dir import CONFIG, CURVES, HISTORY, OPTIONS, RESULT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainers.runs.run_dir import Run

Parameter = str | int | float | bool
_FILES = (CONFIG, OPTIONS, HISTORY, CURVES, RESULT)
_MOST_FILE_BYTES = 1 << 20


class TrackedRun(NamedTuple):
    """The description of a run.

    Attributes:
        name: the name of the run folder.
        parameters: the options of the run by name; those of the augmentation have names such as
            `augment.flip`. An option without a value is missing.
        tags: where the run is, and which data it uses.
    """

    name: str
    parameters: dict[str, Parameter]
    tags: dict[str, str]


def describe_run(run: Run) -> TrackedRun:
    """Return the description of a run, without credentials."""
    config = run.config
    location = escape_surrogates(redact_url(run.location))
    tags = {
        "shardmill.version": __version__,
        "shardmill.run": location,
        "shardmill.dataset": config.dataset,
        "shardmill.plan_digests": " ".join(config.plan_digests),
        "shardmill.task": config.task,
    }
    parameters = dict(_list_parameters(run))
    return TrackedRun(location.rstrip("/").rpartition("/")[2] or location, parameters, tags)


def _list_parameters(run: Run) -> Iterator[tuple[str, Parameter]]:
    config = run.config
    shape = config.shape
    known: dict[str, object] = {
        "learning_rate": config.learning_rate,
        "image_size": f"{shape.height_px}x{shape.width_px}",
    }
    for name, value in {**msgspec.to_builtins(config.options), **known}.items():
        if name == "augment":
            yield from ((f"{name}.{key}", part) for key, part in value.items())
        elif isinstance(value, bool | int | float):
            yield name, value
        elif isinstance(value, str):
            yield name, escape_surrogates(redact_url(value))
        elif value:  # names of classes and of loggers
            yield name, escape_surrogates(json.dumps(value, ensure_ascii=False))


def small_files(run: Run) -> dict[str, bytes]:
    """Return the files that describe a run, and not its weights, by name, without credentials."""
    options = run.config.options.without_credentials()
    redacted = {
        CONFIG: encode_config(msgspec.structs.replace(run.config, options=options)),
        OPTIONS: encode_options(options),
    }
    contents = {}
    for name in _FILES:
        found = run.folder.stat(name)
        if found is not None and found.size_bytes <= _MOST_FILE_BYTES:
            if name in redacted:
                contents[name] = redacted[name]
                continue
            with run.folder.open(name) as stream:
                contents[name] = stream.read()
    return contents
