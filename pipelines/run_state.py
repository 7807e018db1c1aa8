"""What an unfinished run keeps in `.shardmill`: its plan, what was tried, and what failed.

plan.json                what the run is: digest, fingerprint, encoders, the names of its shards
shards/NAME.msgpack      the plan of one shard
attempts/NAME            there while a worker writes the shard: found later, that worker died
failures/NAME.json       why a shard could not be written
facts/NAME.json          what a worker found or did with a shard, other than in a conversion
etags/NAME               the ETag of a finished shard, on stores that have them
runs/, workers/          a run, and how far its workers elsewhere are: see `attendance`
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec

from pipelines.planning.plan import Plan, PlannedShard, ShardPlan
from records import errors
from records.errors import CorruptDataError, OutputError, ShardmillError
from records.format.layout import SHARD_PATTERN, WORK_FOLDER
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage import Storage
from records.strict_json import decode_json, decode_msgpack

_PLAN = f"{WORK_FOLDER}/plan.json"
_FAILURES = f"{WORK_FOLDER}/failures"
_FACTS = f"{WORK_FOLDER}/facts"

_HINT_AGAIN = "run the same command again: it is written anew"
_KINDS = {kind.__name__: kind for kind in ShardmillError.__subclasses__()}

WorkerResult = dict[str, Any]
"""What JSON can hold."""

ShardFile = Annotated[str, msgspec.Meta(pattern=f"^{SHARD_PATTERN}$")]
"""A shard's name, which cannot lead out of the output: `clean` removes files of these names."""


class UnfinishedRun(msgspec.Struct, frozen=True):
    """What a run is, so that a later one can tell whether it goes on with it."""

    plan_digest: str
    fingerprint: str = msgspec.field(name="stamp")
    encoders: dict[str, str]
    shards: tuple[ShardFile, ...]


class Failure(msgspec.Struct, frozen=True):
    """Why a shard could not be done: an error of `records.errors` by name, and its fields."""

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
    """Whether anything of a run is left in an output."""
    return bool(output.list(WORK_FOLDER))


def read_run(output: Storage) -> UnfinishedRun | None:
    """The unfinished run in an output, None where there is none."""
    try:
        content = output.read(_PLAN)
    except FileNotFoundError:
        return None
    with _naming_damage(output, _PLAN, hint="remove the output's folder and convert again"):
        return decode_json(content, UnfinishedRun)


def write_run(output: Storage, plan: Plan, encoders: dict[str, str]) -> None:
    """Keep what this run is, and the plan of each shard; the run itself last."""

    def write(shard: PlannedShard) -> None:
        content = msgspec.msgpack.encode(shard.to_plan(plan.digest))
        output.replace(_shard_plan_name(shard.name), content)

    for _ in parallel_map(write, plan.shards, threads=0 if output.is_local else IO_THREADS):
        pass
    names = tuple(shard.name for shard in plan.shards)
    run = UnfinishedRun(plan.digest, plan.fingerprint, encoders, names)
    output.replace(_PLAN, msgspec.json.encode(run))


def read_shard_plan(output: Storage, name: str) -> ShardPlan:
    """The plan of one shard. Raises CorruptDataError."""
    plan = _shard_plan_name(name)
    content = output.read(plan)
    with _naming_damage(output, plan, hint=_HINT_AGAIN):
        return decode_msgpack(content, ShardPlan)


def has_crashed(output: Storage, name: str) -> bool:
    """Whether a worker began a shard and never came to its end."""
    return output.stat(_attempt_name(name)) is not None


def mark_started(output: Storage, name: str) -> None:
    """Note that a shard is being written."""
    output.replace(_attempt_name(name), b"")


def mark_finished(output: Storage, name: str) -> None:
    """Note that the worker lived to the end of a shard, whatever came of it."""
    output.remove(_attempt_name(name))


def write_failure(output: Storage, name: str, error: ShardmillError) -> None:
    """Keep why a shard could not be done."""
    failure = Failure(
        _public_kind(error),
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


def _public_kind(error: ShardmillError) -> str:
    """The error's class in `records.errors`, or the nearest above it there."""
    kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return next(kinds)


def raise_failures(output: Storage, missing: Sequence[str], shards: Iterable[str]) -> None:
    """Raise why shards are missing, if any are and it was kept.

    That is what one of them failed of. Else it is what another one did that is there all the same,
    for the rest is called off by that too: a folder may fail to be synced that has the new file.
    """
    if missing:
        for name in (*missing, *shards):
            raise_failure(output, name)


def raise_failure(output: Storage, shard: str) -> None:
    """Raise what a shard could not be done for, if that was kept."""
    name = _failure_name(shard)
    try:
        content = output.read(name)
    except FileNotFoundError:
        return
    with _naming_damage(output, name, hint=_HINT_AGAIN):
        failure = decode_json(content, Failure)
    fields = msgspec.structs.asdict(failure)
    kind = _KINDS.get(fields.pop("kind"), OutputError)
    exit_code = fields.pop("exit_code")
    error = kind(fields.pop("what"), **fields)
    error.exit_code = exit_code
    raise error


def write_result(output: Storage, name: str, facts: WorkerResult) -> None:
    """Keep what a worker found or did with a shard."""
    output.replace(_facts_name(name), msgspec.json.encode(facts))


def read_result(output: Storage, name: str) -> WorkerResult | None:
    """What a worker kept of a shard, None where it has not."""
    try:
        content = output.read(_facts_name(name))
    except FileNotFoundError:
        return None
    with _naming_damage(output, _facts_name(name), hint=_HINT_AGAIN):
        return decode_json(content, WorkerResult)


def clear_results(output: Storage) -> None:
    """Drop what earlier attempts came to and failed of."""
    output.remove_folder(_FACTS)
    output.remove_folder(_FAILURES)


def write_etag(output: Storage, name: str, etag: str) -> None:
    """Keep the ETag of a finished shard."""
    output.replace(_etag_name(name), etag.encode())


def read_etag(output: Storage, name: str) -> str | None:
    """The kept ETag of a shard, None where there is none."""
    try:
        return output.read(_etag_name(name)).decode(errors="replace")
    except FileNotFoundError:
        return None


@contextmanager
def _naming_damage(output: Storage, name: str, *, hint: str) -> Iterator[None]:
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


def _facts_name(shard: str) -> str:
    return f"{_FACTS}/{shard}.json"


def _etag_name(shard: str) -> str:
    return f"{WORK_FOLDER}/etags/{shard}"
