"""Every error a user can meet, as one line: what, where, expected, got, and what to do next."""

from __future__ import annotations

from records.text.escaping import escape_for_display


class ShardmillError(Exception):
    """Base of all errors this program raises on purpose; `exit_code` is what the shell sees.

    Args:
        what: what went wrong, a clause without a full stop.
        path: the file or URL it happened in.
        shard: the shard's name, where it concerns one.
        record: the record's number in its shard, from 0.
        offset: the byte offset in the file.
        expected: what should have been there.
        got: what was there.
        hint: what to do next.
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
        """What is known of it, by the names of the arguments; None where it is not."""
        names = ("what", "path", "shard", "record", "offset", "expected", "got", "hint")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
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
        if self.hint is not None:
            text += f"; {self.hint}"
        return escape_for_display(text)

    def __reduce__(self) -> tuple[object, ...]:
        # Beam pickles exceptions between processes; keyword-only fields need their own way across.
        return (_rebuild, (type(self), dict(self.__dict__)))


def _rebuild(kind: type[ShardmillError], fields: dict[str, object]) -> ShardmillError:
    error = kind(str(fields["what"]))
    error.__dict__.update(fields)
    return error


class UsageError(ShardmillError):
    """The command cannot mean what was asked for."""

    exit_code = 2


class TooManyRejectsError(ShardmillError):
    """More images were rejected than `--max-rejects` allows."""

    exit_code = 65


class InputNotFoundError(ShardmillError):
    """There is no input, or no finished dataset."""

    exit_code = 66


class CorruptDataError(ShardmillError):
    """A file of a dataset does not hold what it should: a checksum, a length, a field is wrong."""

    exit_code = 66


class OutputError(ShardmillError):
    """The target cannot be written: full, read-only, or taken by something else."""

    exit_code = 73


class StorageError(ShardmillError):
    """Storage failed, also after retries."""

    exit_code = 74


class RunnerError(ShardmillError):
    """What a job runs on failed it: a job server, a worker pool, a worker, a task manager."""

    exit_code = 69


class LockedError(ShardmillError):
    """Another process is writing here; try later."""

    exit_code = 75
