"""Lists of edited records, one JSON object per line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from records.errors import CorruptDataError
from records.format import layout
from records.format.shard import missing_as_corrupt
from records.strict_json import decode_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from records.format.manifest import Generation, Manifest
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
        return [each for _, records in self.read_each(storage, manifest) for each in records]

    def read_each(
        self, storage: Storage, manifest: Manifest
    ) -> Iterator[tuple[Generation, list[Record]]]:
        """Yield each generation, the oldest first, and the records in its list.

        Raises:
            CorruptDataError: a list is missing or damaged.
        """
        for generation in manifest.generations:
            name = self.path(generation.number)
            records: list[Record] = []
            if name in manifest.files:
                with missing_as_corrupt(storage, name):
                    records = self.read(storage, generation.number)
            yield generation, records
