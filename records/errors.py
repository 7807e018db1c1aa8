"""Exceptions with an exit code, each printed as one line."""

from __future__ import annotations

from records.text.escaping import escape_for_display


class ShardmillError(Exception):
    """Base class of all errors that shardmill raises; the command exits with `exit_code`.

    The text is one line: `PATH SHARD record N offset N: WHAT, expected E, got G; HINT`.

    Args:
        what: the problem, a clause without a full stop.
        path: the file or URL.
        shard: the name of the shard.
        record: the number of the record in its shard, from 0.
        offset: the byte offset in the file.
        expected: the expected value.
        got: the actual value.
        hint: the next step.
    """

    exit_code = 70

    def __init__(
        self,
        what: str,
        *,
        path: str | None = None,
        shard: str | None = None,
        record: int | None = None,
        offset: int | None = None,
        expected: object = None,
        got: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.path = path
        self.shard = shard
        self.record = record
        self.offset = offset
        self.expected = expected
        self.got = got
        self.hint = hint

    def to_dict(self) -> dict[str, object]:
        """Return the arguments by name; missing arguments are None."""
        names = ("what", "path", "shard", "record", "offset", "expected", "got", "hint")
        return {name: getattr(self, name) for name in names}

    @property
    def problem(self) -> str:
        """The error line without the hint."""
        places = [
            escape_for_display(place)
            for place in (self.path, self.shard)
            if place is not None and place not in self.what
        ]
        if self.record is not None:
            places.append(f"record {self.record}")
        if self.offset is not None:
            places.append(f"offset {self.offset}")
        text = f"{' '.join(places)}: {self.what}" if places else self.what
        if self.expected is not None:
            text += f", expected {self.expected}"
        if self.got is not None:
            text += f", got {self.got}"
        return escape_for_display(text)

    def __str__(self) -> str:
        hint = "" if self.hint is None else f"; {escape_for_display(self.hint)}"
        return f"{self.problem}{hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # Beam pickles exceptions between processes, by default without keyword-only arguments.
        return (_rebuild, (type(self), dict(self.__dict__)))


def _rebuild(kind: type[ShardmillError], fields: dict[str, object]) -> ShardmillError:
    error = kind(str(fields["what"]))
    error.__dict__.update(fields)
    return error


class UsageError(ShardmillError):
    """The arguments are invalid or contradictory."""

    exit_code = 2


class TooManyRejectsError(ShardmillError):
    """More images were rejected than `--max-rejects` allows."""

    exit_code = 65


class InputNotFoundError(ShardmillError):
    """The input does not exist, or contains no finished dataset."""

    exit_code = 66


class CorruptDataError(ShardmillError):
    """A file is damaged: a checksum, a length or a field is wrong."""

    exit_code = 66


class OutputError(ShardmillError):
    """The output cannot be written until the user removes the cause, for example a full disk."""

    exit_code = 73


class StorageError(ShardmillError):
    """Storage failed after retries; a later attempt may succeed."""

    exit_code = 74


class RunnerError(ShardmillError):
    """A part of a runner failed: a job server, a worker pool, a worker or a task manager."""

    exit_code = 69


class LockedError(ShardmillError):
    """Another process is writing to the same output; try again later."""

    exit_code = 75
