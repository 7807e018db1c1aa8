"""Files of the work folder `.shardmill`, and their removal."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from records.storage.local import LocalStorage
from records.storage.names import WORK_FOLDER
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.storage import Storage

_log = logging.getLogger("shardmill")
_OWN = re.compile(
    rf"{re.escape(WORK_FOLDER)}/(?:"
    r"plan\.json|lock|lease\.json|key|base\.npz|probe"  # state of a run, and of a feature store
    r"|staging/\.[0-9a-f]{16}-[^/]+"
    r"|shards/.+\.msgpack|(?:failures|facts|skipped)/.+\.json|(?:attempts|etags|written)/.+"
    r"|unpacked/[^/]+"  # copies of compressed containers
    r"|run/[^/]+|chunks/.+"  # of predict --csv-parts
    r"|(?:runs|workers)/[^/]+(?:/[^/]+)?"  # heartbeats
    r")",
    re.DOTALL,
)


def list_own_files(storage: Storage, folder: str = WORK_FOLDER) -> list[str]:
    """Return the names of the files that shardmill wrote below the work folder, sorted."""
    return [name for name in storage.list(folder) if _OWN.fullmatch(name)]


def remove_own_files(storage: Storage, folder: str = WORK_FOLDER) -> None:
    """Remove the files that shardmill wrote in the work folder, and the folder if it is then empty.

    Other files remain; one line of the log names the first of them. The caller holds the lock.

    Args:
        storage: the storage with the work folder.
        folder: the work folder, or a folder in it.

    Raises:
        OutputError, StorageError: a file cannot be removed.
    """
    foreign = [name for name in storage.list(folder) if not _OWN.fullmatch(name)]
    if not foreign:
        storage.remove_folder(folder)
        return
    for name in list_own_files(storage, folder):
        if not name.endswith("/lease.json"):  # until it is released
            storage.remove(name)
    if isinstance(storage, LocalStorage):
        storage.remove_empty_folders(folder)
    if folder != WORK_FOLDER:
        return  # one line, when the work folder is removed
    warn_kept(storage, foreign)


def warn_kept(storage: Storage, names: Sequence[str]) -> None:
    """Log one line that names the first of the files that are kept, if there are any."""
    if names:
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        path = escape_for_display(storage.display_name(names[0]))
        _log.warning("%s%s: kept, because shardmill did not write it", path, more)
