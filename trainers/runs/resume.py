"""Options of a resumed run, and the options that may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from records.errors import UsageError
from trainers.options import TrainOptions
from trainers.runs.run_dir import is_run, read_config
from trainers.runs.run_folder import open_run_folder

if TYPE_CHECKING:
    import os

    from trainers.config import RunConfig

# All options that are not listed change the resulting weights.
_MAY_CHANGE = {
    "epochs", "steps", "cache", "cache_limit_gb", "features", "checkpoint_steps",
    "checkpoint_minutes", "keep_checkpoints", "skip_bad", "log", "tensorboard",
}  # fmt: skip


def find_run(run: str | os.PathLike[str]) -> RunConfig | None:
    """Return the configuration of a run, finished or not; None if the run does not exist.

    Raises:
        CorruptDataError: `config.json` is invalid.
        StorageError: storage failed.
    """
    folder = open_run_folder(run)
    return read_config(folder) if is_run(folder) else None


def merge_options(found: RunConfig, given: dict[str, Any]) -> TrainOptions:
    """Return the options of a run, except that the given options have new values."""
    return msgspec.convert({**msgspec.to_builtins(found.options), **given}, TrainOptions)


def require_compatible(found: RunConfig, requested: RunConfig, *, path: str) -> None:
    """Check that a run can resume with a configuration.

    Args:
        found: the configuration of the run.
        requested: the configuration to resume with.
        path: the run folder, for messages.

    Raises:
        UsageError: the dataset has changed, or an option differs that must not change.
    """
    if found.plan_digests != requested.plan_digests:
        raise UsageError(
            "the dataset has changed since this run started",
            path=path,
            hint="use a different run folder",
        )
    before, now = msgspec.to_builtins(found.options), msgspec.to_builtins(requested.options)
    is_longer = found.options.schedule == "constant" or requested.restarts != found.restarts
    may_extend = is_longer and found.time_limit_seconds is None
    may_change = _MAY_CHANGE if may_extend else _MAY_CHANGE - _LENGTH
    for name in before:
        if before[name] != now[name] and name not in may_change:
            if name in _LENGTH and None not in {before[name], now[name]}:
                raise _length_error(found, name, before[name], now[name], path=path)
            raise UsageError(
                f"a run resumes with its own options, but --{name.replace('_', '-')} differs",
                path=path,
                expected=before[name],
                got=now[name],
                hint="omit the option, or use a different run folder",
            )


def _length_error(found: RunConfig, name: str, before: int, now: int, *, path: str) -> UsageError:
    """Return the error for another number of epochs or steps."""
    if found.time_limit_seconds is None:
        what, expected = "a run can only become longer", f"more than {before:,} {name}"
    else:
        what, expected = "a run with a time limit keeps its length", f"{before:,} {name}"
    return UsageError(
        what,
        path=path,
        expected=expected,
        got=f"{now:,}",
        hint="omit the option, or use a different run folder",
    )


_LENGTH = {"epochs", "steps"}
"""Options that, with a schedule, determine the learning rate of every step; they may only grow."""
