"""The state of an unfinished run, in the folder `.shardmill`.

command                  the command of a run without a plan: see `records.storage.work_folder`
plan.json                the run: command, plan digest, fingerprint, encoders, names of its shards
shards/NAME.msgpack      the plan of one shard, if workers on other machines may read it
attempts/NAME            exists from the start of a worker; is removed if the worker fails
failures/NAME.json       the error of a shard that could not be written
facts/NAME.json          the result of the worker for a shard, if the worker returned one
written/, etags/         files that the run wrote: see `records.storage.ownership`
unpacked/NAME            the decompressed copy of a container: see `pipelines.sources.containers`
parts/NAME               staged images of a Beam pipeline: see `pipelines.transforms.parts`
runs/, workers/          heartbeats: see `pipelines.runners.heartbeat`
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from pipelines.planning.plan import Plan, PlannedShard, ShardPlan
from records import errors
from records.errors import CorruptDataError, OutputError, ShardmillError
from records.format.layout import RUN_PLAN, SHARD_PATTERN, WORK_FOLDER
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.runtime.shard_worker import WorkerResult
from records.storage import Storage, write_file
from records.storage.work_folder import Command, list_own_files, remove_own_files
from records.strict_json import decode_json, decode_msgpack

_FAILURES = f"{WORK_FOLDER}/failures"
_RESULTS = f"{WORK_FOLDER}/facts"

_CLEAN = "remove the run with `shardmill clean`, and run the same command again"
_RERUN = "run the same command again: it rewrites this file"
_KINDS: dict[str, type[ShardmillError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ShardmillError)
}

ShardFile = Annotated[str, msgspec.Meta(pattern=f"^{SHARD_PATTERN}$")]
"""The name of a shard. It cannot lead out of the output, because `clean` removes these files."""


class UnfinishedRun(msgspec.Struct, frozen=True):
    """The identity of a run; a later run compares it to decide whether to resume.

    `started` is the time of the first start, UTC, as ISO 8601; it is only shown. `command` is the
    command of the run; empty in the state of an earlier version, which has it in a separate file.
    `in_order` is whether one process writes the shards in order, without marks: if it dies, it has
    started no unfinished shard but the first.
    """

    plan_digest: str
    fingerprint: str
    encoders: dict[str, str]
    shards: tuple[ShardFile, ...]
    started: str = ""
    command: str = ""
    in_order: bool = False


class Failure(msgspec.Struct, frozen=True):
    """The error of a shard: the name of its class in `records.errors`, and its fields."""

    kind: str
    exit_code: int
    what: str
    path: str | None
    shard: str | None
    record: int | None
    offset: int | None
    expected: str | None
    got: str | None
    hint: str | None


def has_state(output: Storage) -> bool:
    """Return whether an output has the state of a run."""
    return bool(list_own_files(output))


def read_run(output: Storage) -> UnfinishedRun | None:
    """Return the unfinished run of an output; None if there is none. Raises CorruptDataError."""
    try:
        content = output.read(RUN_PLAN)
    except FileNotFoundError:
        return None
    with _as_corrupt(output, RUN_PLAN, hint=_CLEAN):
        return decode_json(content, UnfinishedRun)


def write_run(
    output: Storage,
    plan: Plan,
    command: Command,
    encoders: dict[str, str],
    resumed: UnfinishedRun | None = None,
    *,
    in_order: bool = False,
) -> None:
    """Write the identity of a run, which may resume another."""
    names = tuple(shard.name for shard in plan.all_shards)
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    started = now if resumed is None else resumed.started
    identity = (plan.digest, plan.fingerprint, encoders, names, started, command, in_order)
    output.replace(RUN_PLAN, msgspec.json.encode(UnfinishedRun(*identity)))


def forget_order(output: Storage) -> None:
    """Record that the process of a run ends without a crash, see `UnfinishedRun.in_order`.

    Raises:
        CorruptDataError: the identity of the run is damaged.
        OutputError, StorageError: it cannot be written.
    """
    unfinished = read_run(output)
    if unfinished is not None and unfinished.in_order:
        ended = msgspec.structs.replace(unfinished, in_order=False)
        output.replace(RUN_PLAN, msgspec.json.encode(ended))


def write_shard_plans(storage: Storage, plan: Plan) -> None:
    """Write the plan of each shard, for the workers."""

    def write(shard: PlannedShard) -> None:
        content = msgspec.msgpack.encode(shard.to_plan(plan))
        storage.replace(_shard_plan_name(shard.name), content)

    for _ in parallel_map(write, plan.all_shards, threads=0 if storage.is_local else IO_THREADS):
        pass


def read_shard_plan(storage: Storage, name: str) -> ShardPlan:
    """Return the plan of one shard. Raises CorruptDataError."""
    plan = _shard_plan_name(name)
    content = storage.read(plan)
    with _as_corrupt(storage, plan, hint=_RERUN):
        return decode_msgpack(content, ShardPlan)


def mark_started(output: Storage, name: str) -> bool:
    """Mark that a worker has started to write a shard; return whether it is the first to do so.

    The mark remains if the worker crashes. Raises OutputError, StorageError.
    """
    mark = _attempt_name(name)
    try:
        write_file(output, mark, secrets.token_bytes(8))  # no two marks are equal
    except OutputError:
        if output.stat(mark) is None:
            raise
        return False
    return True


def mark_finished(output: Storage, name: str) -> None:
    """Remove the mark of a shard whose worker did not crash; it may have failed."""
    output.remove(_attempt_name(name))


def write_failure(output: Storage, name: str, error: ShardmillError) -> None:
    """Write the error of a shard."""
    failure = Failure(
        public_kind(error),
        error.exit_code,
        error.what,
        error.path,
        error.shard,
        error.record,
        error.offset,
        expected=None if error.expected is None else str(error.expected),
        got=None if error.got is None else str(error.got),
        hint=error.hint,
    )
    output.replace(_failure_name(name), msgspec.json.encode(failure))


def public_kind(error: ShardmillError) -> str:
    """Return the name of the nearest base class of an error in `records.errors`."""
    kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return next(kinds)


def raise_failures(output: Storage, missing: Sequence[str], shards: Iterable[str]) -> None:
    """Raise a recorded error that explains the missing shards, if there is one.

    The error of a missing shard is preferred to the error of a finished shard. A finished shard can
    have an error if the folder could not be synced after the shard was written; it cancels the run.
    """
    if missing:
        for name in (*missing, *shards):
            raise_failure(output, name)


def raise_failure(output: Storage, shard: str) -> None:
    """Raise the recorded error of a shard, if there is one."""
    name = _failure_name(shard)
    try:
        content = output.read(name)
    except FileNotFoundError:
        return
    with _as_corrupt(output, name, hint=_RERUN):
        failure = decode_json(content, Failure)
    fields = msgspec.structs.asdict(failure)
    kind = _KINDS.get(fields.pop("kind"), OutputError)
    exit_code = fields.pop("exit_code")
    error = kind(fields.pop("what"), **fields)
    error.exit_code = exit_code
    raise error


def write_result(output: Storage, name: str, result: WorkerResult) -> None:
    """Write the result of a worker."""
    output.replace(_result_name(name), msgspec.json.encode(result))


def read_result(output: Storage, name: str) -> WorkerResult | None:
    """Return the result of a worker; None if there is none."""
    try:
        content = output.read(_result_name(name))
    except FileNotFoundError:
        return None
    with _as_corrupt(output, _result_name(name), hint=_RERUN):
        return decode_json(content, WorkerResult)


def clear_results(output: Storage) -> None:
    """Remove the results and errors of earlier attempts."""
    remove_own_files(output, _RESULTS)
    remove_own_files(output, _FAILURES)


@contextmanager
def _as_corrupt(output: Storage, name: str, *, hint: str) -> Iterator[None]:
    try:
        yield
    except msgspec.DecodeError as error:
        raise CorruptDataError(
            "a file of the unfinished run is damaged",
            path=output.display_name(name),
            got=str(error),
            hint=hint,
        ) from error


def _shard_plan_name(shard: str) -> str:
    return f"{WORK_FOLDER}/shards/{shard}.msgpack"


def _attempt_name(shard: str) -> str:
    return f"{WORK_FOLDER}/attempts/{shard}"


def _failure_name(shard: str) -> str:
    return f"{_FAILURES}/{shard}.json"


def _result_name(shard: str) -> str:
    return f"{_RESULTS}/{shard}.json"
