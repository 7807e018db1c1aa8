"""A folder whose key determines its files.

The manifest, JSON with a field `key`, is written last: it exists only if the folder is complete.
Until then the work folder holds the key, so that a later process can check whether it may resume.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from records.errors import OutputError, ShardmillError
from records.storage import write_file
from records.storage.names import WORK_FOLDER
from records.storage.work_folder import remove_own_files
from records.strict_json import decode_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.storage import Storage

_KEY = f"{WORK_FOLDER}/key"
_STAGING = f"{WORK_FOLDER}/staging"
_HINT = "choose another folder, or remove this one"


class _Keyed(msgspec.Struct):
    key: str


@dataclass(frozen=True)
class ContentAddressedDir:
    """A folder that holds, or will hold, the files that a key determines.

    Args:
        storage: the folder.
        key: the hash of everything that determines the content of the folder.
        manifest: the name of the manifest.
        names: the names of the other files.
        mismatch: the content of a folder that has a different key, as error messages describe it.
    """

    storage: Storage
    key: str
    manifest: str
    names: tuple[str, ...]
    mismatch: str

    def is_finished(self) -> bool:
        """Return whether the folder is complete. Raises OutputError if its key differs."""
        try:
            content = self.storage.read(self.manifest)
        except FileNotFoundError:
            return False
        try:
            found = decode_json(content, _Keyed).key
        except msgspec.DecodeError as error:
            raise OutputError(
                f"the file {self.manifest} in this folder has an unknown format",
                path=self.storage.display_name(self.manifest),
                got=str(error),
                hint=_HINT,
            ) from error
        if found != self.key:
            raise OutputError(
                f"the folder contains {self.mismatch}", path=self.storage.url, hint=_HINT
            )
        self._clean_up()
        return True

    def _clean_up(self) -> None:
        """Remove the work folder of a process that ended after it wrote the manifest."""
        if not self.storage.list(WORK_FOLDER):
            return
        # Another process may be about to do it; and a folder that cannot be written is complete.
        with suppress(ShardmillError), self.storage.lock():
            remove_own_files(self.storage)

    def check(self) -> None:
        """Check that an unfinished folder has the same key, or no key and none of the files.

        Raises:
            OutputError: the key differs, or a file does not belong to an unfinished run.
        """
        begun = self._begun()
        if begun is not None and begun != self.key:
            raise OutputError(
                f"the folder is unfinished and contains {self.mismatch}",
                path=self.storage.url,
                hint=_HINT,
            )
        existing = set(self.storage.list()) & set(self.names)
        if begun is None and existing:
            raise OutputError(
                "the file already exists, and does not belong to an unfinished run",
                path=self.storage.display_name(min(existing)),
                hint=_HINT,
            )

    def is_begun(self) -> bool:
        """Return whether the folder is unfinished."""
        return self._begun() is not None

    def begin(self) -> None:
        """Write the key, or resume the folder. The caller has called `check` and holds the lock."""
        if self._begun() is None:
            self.storage.replace(_KEY, self.key.encode())
        # The lock excludes other processes, so any staged files are from a killed run.
        remove_own_files(self.storage, _STAGING)

    def finish(self, manifest: bytes) -> None:
        """Write the manifest last, and remove the work folder."""
        write_file(self.storage, self.manifest, manifest)
        remove_own_files(self.storage)

    def discard(self, names: Iterable[str]) -> None:
        """Remove the given files and the work folder: the folder will not be finished."""
        for name in names:
            self.storage.remove(name)
        remove_own_files(self.storage)

    def _begun(self) -> str | None:
        try:
            return self.storage.read(_KEY).decode()
        except FileNotFoundError:
            return None
