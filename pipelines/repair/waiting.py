"""Shards that wait until all others are written again.

A damaged file may have records of another damaged shard, as after two files were exchanged. It is
replaced only after these records are written elsewhere. The file of the other shard is not such a
place, because it may have records of the first one. Therefore, both shards are first written to
the work folder, and then copied to their places. A repair that is killed leaves them for the next.
"""

from __future__ import annotations

from collections.abc import Collection

from pipelines.repair.listed import ListedFiles
from records.format.shard import hash_file
from records.storage import COPY_STEP_BYTES, FolderLock, Storage
from records.storage.local import LocalStorage
from records.storage.work_folder import REPAIRED


def waiting_name(shard: str) -> str:
    """Return the name of a shard in the work folder."""
    return f"{REPAIRED}/{shard}"


def find_waiting(storage: Storage, listed: ListedFiles) -> set[str]:
    """Return the shards that wait, as an earlier repair has written them. Raises StorageError."""
    names = {name.removeprefix(f"{REPAIRED}/") for name in storage.list(REPAIRED)}
    return {
        name
        for name in names & listed.shards.keys()
        if hash_file(storage, waiting_name(name)) == listed.shards[name].info.xxh3_128
    }


def move_waiting(storage: Storage, shards: Collection[str], lock: FolderLock) -> None:
    """Copy waiting shards to their places, and then remove all files that wait.

    Raises:
        OutputError: the dataset cannot be written to.
        LockedError: another run has taken over the lock.
        StorageError: storage failed after retries.
    """
    for shard in sorted(shards):
        with storage.open(waiting_name(shard)) as stream, storage.overwrite(shard) as staged:
            while block := stream.read(COPY_STEP_BYTES):
                staged.write(block)
            lock.ensure_held()
    for name in storage.list(REPAIRED):
        storage.remove(name)
    if isinstance(storage, LocalStorage):
        storage.remove_empty_folders(REPAIRED)
