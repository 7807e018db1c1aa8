"""A folder filled over as many runs as it takes with what follows from one key, and nothing else.

Its manifest, JSON with a field `key`, is written last: there ⇔ complete. Until then the key lies in
the work folder, so that a later run can tell whether it goes on with what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from records.errors import OutputError
from records.format.layout import WORK_FOLDER
from records.storage import write_file
from records.strict_json import decode_json

if TYPE_CHECKING:
    from records.storage import Storage

_KEY = f"{WORK_FOLDER}/key"
_STAGING = f"{WORK_FOLDER}/staging"
_HINT = "choose another folder, or remove this one"


class _Keyed(msgspec.Struct):
    key: str


@dataclass(frozen=True)
class ContentAddressedDir:
    """Whether a folder is free for a key.

    Args:
        storage: the folder.
        key: the hash of all that decides its content.
        manifest: the manifest's name.
        names: of the files that lie beside it.
        another: what it holds where it is of another key.
    """

    storage: Storage
    key: str
    manifest: str
    names: tuple[str, ...]
    another: str

    def is_finished(self) -> bool:
        """Whether all of it is there. Raises OutputError where something else is."""
        try:
            content = self.storage.read(self.manifest)
        except FileNotFoundError:
            return False
        try:
            found = decode_json(content, _Keyed).key
        except msgspec.DecodeError as error:
            raise OutputError(
                f"the folder is taken: this {self.manifest} is of something else",
                path=self.storage.display_name(self.manifest),
                got=str(error),
                hint=_HINT,
            ) from error
        if found != self.key:
            raise OutputError(f"the folder holds {self.another}", path=self.storage.url, hint=_HINT)
        return True

    def check(self) -> None:
        """Refuse a folder, not finished, that holds something else. Raises OutputError."""
        begun = self._begun()
        if begun is not None and begun != self.key:
            raise OutputError(
                f"the folder holds, unfinished, {self.another}", path=self.storage.url, hint=_HINT
            )
        taken = set(self.storage.list()) & set(self.names)
        if begun is None and taken:
            raise OutputError(
                "a file of this name is there already, and nothing unfinished of ours",
                path=self.storage.display_name(min(taken)),
                hint=_HINT,
            )

    def begin(self) -> None:
        """Take a folder that was checked and is held, or go on in it."""
        if self._begun() is None:
            self.storage.replace(_KEY, self.key.encode())
        # Under the lock nobody else stages anything: what lies here is a dead run's.
        self.storage.remove_folder(_STAGING)

    def finish(self, manifest: bytes) -> None:
        """Write the manifest, the last thing, and clear up."""
        write_file(self.storage, self.manifest, manifest)
        self.storage.remove_folder(WORK_FOLDER)

    def discard(self) -> None:
        """Remove what there is of something that will not be finished."""
        for name in self.names:
            self.storage.remove(name)
        self.storage.remove_folder(WORK_FOLDER)

    def _begun(self) -> str | None:
        try:
            return self.storage.read(_KEY).decode()
        except FileNotFoundError:
            return None
