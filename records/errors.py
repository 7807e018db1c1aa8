"""Exceptions with an exit code, each printed as one line."""

from __future__ import annotations

from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate
from records.text.urls import redact_location, without_user

_MAX_VALUE_CHARACTERS = 300
_MAX_PLACE_CHARACTERS = 500
_MAX_HINT_CHARACTERS = 1000


class ShardmillError(Exception):
    """Base class of all errors that shardmill raises; the command exits with `exit_code`.

    The text is one line: `PATH SHARD record N offset N: WHAT, expected E, got G; HINT`. Long parts
    are abbreviated in the text and in `to_dict`, whatever a file or an argument contains, and URLs
    lose their user names and passwords.

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
        self.path = None if path is None else redact_location(path)
        self.shard = shard
        self.record = record
        self.offset = offset
        self.expected = expected
        self.got = got
        self.hint = hint

    def to_dict(self) -> dict[str, object]:
        """Return the arguments by name, abbreviated; missing arguments are None."""
        places = {name: getattr(self, name) for name in ("path", "shard", "record", "offset")}
        values = {"expected": self.expected, "got": self.got}
        return {
            "what": _bound(self.what, _MAX_PLACE_CHARACTERS),
            **{name: _bound(place, _MAX_PLACE_CHARACTERS) for name, place in places.items()},
            **{name: _bound(value, _MAX_VALUE_CHARACTERS) for name, value in values.items()},
            "hint": _bound(self.hint, _MAX_HINT_CHARACTERS),
        }

    @property
    def problem(self) -> str:
        """The error line without the hint."""
        places = [
            _show(place, _MAX_PLACE_CHARACTERS)
            for place in (self.path, self.shard)
            if place is not None and not self._names(place)
        ]
        if self.record is not None:
            places.append(f"record {self.record}")
        if self.offset is not None:
            places.append(f"offset {self.offset}")
        what = _show(self.what, _MAX_PLACE_CHARACTERS)
        text = f"{' '.join(places)}: {what}" if places else what
        if self.expected is not None:
            text += f", expected {_show(self.expected, _MAX_VALUE_CHARACTERS)}"
        if self.got is not None:
            text += f", got {_show(self.got, _MAX_VALUE_CHARACTERS)}"
        return text

    def _names(self, place: str) -> bool:
        """Return whether the description contains a path: a short name may be a word of it."""
        return ("/" in place or "." in place) and len(place) > 2 and place in self.what

    @property
    def advice(self) -> str | None:
        """The hint as it is printed."""
        return None if self.hint is None else _show(self.hint, _MAX_HINT_CHARACTERS)

    def __str__(self) -> str:
        return self.problem if self.hint is None else f"{self.problem}; {self.advice}"

    def __reduce__(self) -> tuple[object, ...]:
        # Beam pickles exceptions between processes, by default without keyword-only arguments.
        return (_rebuild, (type(self), dict(self.__dict__)))


def _bound(value: object, characters: int) -> object:
    """Return a number or None unchanged, anything else as a text of at most `characters`."""
    if value is None or isinstance(value, int):
        return value
    return abbreviate(without_user(str(value)), characters)


def _show(value: object, characters: int) -> str:
    # Escaping makes a text up to ten times as long.
    return abbreviate(escape_for_display(str(_bound(str(value), characters))), characters)


def _rebuild(kind: type[ShardmillError], fields: dict[str, object]) -> ShardmillError:
    # Not by its constructor: those of subclasses may have other arguments.
    error = kind.__new__(kind, fields["what"])
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
    """Storage failed after retries; except `RefusedReadError`, a later attempt may succeed."""

    exit_code = 74


class RefusedReadError(StorageError):
    """A store refuses a read, such as one in a wrong region, and would refuse it again.

    A write that is refused is an `OutputError`.
    """

    exit_code = InputNotFoundError.exit_code


class AccessDeniedError(RefusedReadError):
    """A store refuses the credentials or has none, or a file may not be read."""


class RunnerError(ShardmillError):
    """A part of a runner failed: a job server, a worker pool, a worker or a task manager."""

    exit_code = 69


class ResourceError(ShardmillError):
    """The machine, or a limit of it, leaves too little memory, or too few threads or files."""

    exit_code = 74


class LockedError(ShardmillError):
    """Another process is writing to the same output; try again later."""

    exit_code = 75
