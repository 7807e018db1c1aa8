"""Files of the work folder `.shardmill`: their command, and their removal."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from records.errors import OutputError
from records.storage.local import LocalStorage
from records.storage.names import LEASE, LOCK, RUN_PLAN, WORK_FOLDER
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from records.storage import Storage

Command = Literal[
    "convert", "compact", "adopt", "remove", "relabel", "rollback", "export-dataset", "WriteDataset"
]  # fmt: skip
"""A command, or a Beam transform, that records its name in the work folder of its output."""
_CLEANED = ("convert", "compact", "remove", "relabel", "rollback", "WriteDataset")
PARTS = f"{WORK_FOLDER}/parts"
"""The folder of the images that a Beam pipeline has staged."""
REPAIRED = f"{WORK_FOLDER}/repaired"
"""The folder of shards that an unfinished repair has written: only the next repair removes them."""
_COMMAND = f"{WORK_FOLDER}/command"
_KEY = f"{WORK_FOLDER}/key"
_RUN = f"{WORK_FOLDER}/run"

_log = logging.getLogger("shardmill")
_OWN = re.compile(
    rf"{re.escape(WORK_FOLDER)}/(?:"
    r"plan\.json|command|lock|lease\.json|probe"  # state of a run
    r"|key|base\.npz"  # state of a feature store
    r"|staging/\.[0-9a-f]{16}-[^/]+"
    r"|shards/.+\.msgpack|(?:failures|facts|skipped)/.+\.json|(?:attempts|etags|written)/.+"
    r"|unpacked/[^/]+"  # copies of compressed containers
    r"|parts/[^/]+"  # staged images of a Beam pipeline
    r"|run/[^/]+|chunks/.+"  # of predict --csv-parts
    r"|(?:runs|workers)/[^/]+(?:/[^/]+)?"  # heartbeats
    r")",
    re.DOTALL,
)


def record_command(storage: Storage, command: Command) -> None:
    """Record the command of a run without a plan, before it writes to a locked folder.

    Raises:
        OutputError, StorageError: the file cannot be written.
    """
    storage.replace(_COMMAND, command.encode())


def has_unfinished_run(names: Iterable[str]) -> bool:
    """Return whether one of these files of a folder is that of a run to resume, or to remove.

    Other state is what a killed process has left, such as staged files.
    """
    return not {_COMMAND, _KEY, RUN_PLAN}.isdisjoint(names)


def unfinished_command(storage: Storage) -> str | None:
    """Return the command whose run in a folder is unfinished; None if there is none, or no record.

    A run with a plan names its command there. A feature store and predictions record their key
    instead of a command.
    """
    recorded = _read_command(storage)
    if recorded is None:
        if storage.stat(_KEY) is None:
            return None
        return "predict" if storage.list(_RUN) else "featurize"
    return recorded if recorded in get_args(Command) else None


def _read_command(storage: Storage) -> str | None:
    with suppress(FileNotFoundError):
        return storage.read(_COMMAND).decode(errors="replace")
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode(storage.read(RUN_PLAN), type=_PlannedCommand).command
    return None


class _PlannedCommand(msgspec.Struct, frozen=True):
    """The command in the plan of a run; None in a plan of an earlier version."""

    command: str | None = None


def run_of_other_command(storage: Storage, command: str) -> OutputError:
    """Return the error for a folder with an unfinished run of a command that is not this one."""
    other = "remove the run with `shardmill clean`" if command in _CLEANED else "choose another one"
    name, kind = describe_command(command)
    return OutputError(
        f"the folder contains an unfinished run of `{name}`",
        path=storage.url,
        hint=f"run that {kind} again to finish it, or {other}",
    )


def describe_command(command: str) -> tuple[str, str]:
    """Return the full name of a command, and what it is, for messages."""
    if command == "WriteDataset":
        return "shardmill.beam.WriteDataset", "pipeline"
    return f"shardmill {command}", "command"


def list_own_files(storage: Storage, folder: str = WORK_FOLDER) -> list[str]:
    """Return the names of the files that shardmill wrote below the work folder, sorted."""
    return [name for name in storage.list(folder) if _OWN.fullmatch(name)]


def remove_own_files(
    storage: Storage, folder: str = WORK_FOLDER, *, keep: str | None = None
) -> None:
    """Remove the files that shardmill wrote in the work folder, and the folder if it is then empty.

    Other files remain; one line of the log names the first of them. The caller holds the lock.

    Args:
        storage: the storage with the work folder.
        folder: the work folder, or a folder in it.
        keep: a folder in the work folder whose files remain.

    Raises:
        OutputError, StorageError: a file cannot be removed.
    """
    present = storage.list(folder)
    if not present and not storage.is_local:  # an empty folder exists only on a disk
        return
    foreign = [name for name in present if not _OWN.fullmatch(name)]
    if not foreign and keep is None:
        storage.remove_folder(folder)
        return
    for name in list_own_files(storage, folder):
        is_kept = keep is not None and name.startswith(f"{keep}/")
        if not is_kept and name not in {LEASE, LOCK}:  # until the lock is released
            storage.remove(name)
    if isinstance(storage, LocalStorage):
        storage.remove_empty_folders(folder)
    if folder != WORK_FOLDER:
        return  # one line, when the work folder is removed
    warn_kept(storage, [name for name in foreign if not name.startswith(f"{REPAIRED}/")])


def remove_rest(storage: Storage) -> None:
    """Remove what killed processes have left, if there is no run to resume.

    The caller holds the lock. Raises OutputError, StorageError.
    """
    if not has_unfinished_run(storage.list(WORK_FOLDER)):
        remove_own_files(storage)


@contextmanager
def unlocked_write(storage: Storage) -> Iterator[None]:
    """Write in the block without the lock, and then remove the work folder if it is unused.

    At the end of a run, the holder of the lock removes it, with the staged files of killed
    processes.
    """
    try:
        yield
    finally:
        if isinstance(storage, LocalStorage):
            storage.remove_unused_staging()


def warn_kept(storage: Storage, names: Sequence[str]) -> None:
    """Log one line that names the first of the files that are kept, if there are any."""
    if names:
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        path = escape_for_display(storage.display_name(names[0]))
        _log.warning("%s%s: kept, because shardmill did not write it", path, more)
