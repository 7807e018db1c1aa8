"""Lists of edited records, one JSON object per line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from records.errors import CorruptDataError
from records.format import layout
from records.format.shard import missing_as_corrupt
from records.strict_json import decode_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.format.manifest import Manifest
    from records.storage import Storage

Record = TypeVar("Record", bound=msgspec.Struct)


class EditList(NamedTuple, Generic[Record]):
    """A kind of list; a generation has a list of it only if the list is not empty.

    Attributes:
        name: the name of the file in the folder of a generation.
        kind: the type of a line.
        what: the records in it, for messages.
    """

    name: str
    kind: type[Record]
    what: str

    def path(self, generation: int) -> str:
        """Return the name of the list of a generation."""
        return layout.generation_path(self.name, generation)

    def encode(self, records: Iterable[Record]) -> bytes:
        """Return the content of a list."""
        return b"".join(msgspec.json.encode(record) + b"\n" for record in records)

    def read(self, storage: Storage, generation: int) -> list[Record]:
        """Read the list of one generation.

        Raises:
            FileNotFoundError: the file is missing.
            CorruptDataError: the file is damaged.
        """
        name = self.path(generation)
        try:
            return decode_json_lines(storage.read(name), self.kind)
        except msgspec.DecodeError as error:
            raise CorruptDataError(
                f"the list of {self.what} is damaged",
                path=storage.display_name(name),
                got=str(error),
            ) from error

    def read_all(self, storage: Storage, manifest: Manifest) -> list[Record]:
        """Return the records in the lists of all generations, the oldest generation first.

        Raises:
            CorruptDataError: a list is missing or damaged.
        """
        numbers = [generation.number for generation in manifest.generations]
        lists = (self.read_listed(storage, manifest, number) for number in numbers)
        return [record for records in lists for record in records]

    def read_listed(self, storage: Storage, manifest: Manifest, generation: int) -> list[Record]:
        """Return the records in the list of a generation; none if the manifest names no list.

        Raises:
            CorruptDataError: the list is missing or damaged.
        """
        name = self.path(generation)
        if name not in manifest.files:
            return []
        with missing_as_corrupt(storage, name):
            return self.read(storage, generation)
