"""Going on with a run: what it was asked for, and what of that may change on the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from records.errors import UsageError
from trainers.options import TrainOptions
from trainers.runs.run_dir import CONFIG, read_config

if TYPE_CHECKING:
    from trainers.config import RunConfig

# The rest decides what the weights become: another run.
_MAY_CHANGE = {
    "epochs", "steps", "cache", "features", "checkpoint_steps", "checkpoint_minutes",
    "keep_checkpoints", "skip_bad", "tensorboard",
}  # fmt: skip


def find_run(run: str | os.PathLike[str]) -> RunConfig | None:
    """The configuration of a run that is there, finished or not; None where nothing is.

    Raises:
        CorruptDataError: it is no configuration.
    """
    path = Path(os.fspath(run))
    return read_config(path) if (path / CONFIG).is_file() else None


def merge_options(found: RunConfig, given: dict[str, Any]) -> TrainOptions:
    """The options of a run, with those that were given anew."""
    return msgspec.convert({**msgspec.to_builtins(found.options), **given}, TrainOptions)


def require_compatible(found: RunConfig, asked: RunConfig, *, path: str) -> None:
    """Refuse to go on with a run as another one.

    Args:
        found: the run's configuration.
        asked: what it would be now.
        path: the run's folder, for messages.

    Raises:
        UsageError: something differs that weights follow from.
    """
    if found.plan_digests != asked.plan_digests:
        raise UsageError(
            "the dataset has changed since this run began",
            path=path,
            hint="train it anew into another folder",
        )
    before, now = msgspec.to_builtins(found.options), msgspec.to_builtins(asked.options)
    may_change = _MAY_CHANGE if found.options.schedule == "constant" else _MAY_CHANGE - _LENGTH
    for name in before:
        if before[name] != now[name] and name not in may_change:
            raise UsageError(
                f"this run goes on as it began, but --{name.replace('_', '-')} differs",
                path=path,
                expected=before[name],
                got=now[name],
                hint="leave it out, or train anew into another folder",
            )


_LENGTH = {"epochs", "steps"}
"""With a schedule these decide the learning rate of every step."""
