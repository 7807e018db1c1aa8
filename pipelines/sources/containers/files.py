"""The members of containers as files of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from pipelines.sources.containers.byte_window import (
    LOCAL_BLOCK_BYTES,
    REMOTE_BLOCK_BYTES,
    ByteWindow,
    read_container,
)
from pipelines.sources.containers.kinds import kind_of
from pipelines.sources.containers.listing import MemberListing, list_members
from pipelines.sources.containers.member import Container, decode_member
from pipelines.sources.containers.read import ChangedMemberError, read_part, read_whole
from pipelines.sources.containers.unpack import NewCopies, UnstoredCopy, copy_name, write_copies
from pipelines.sources.containers.wanted import NO_FIELDS, WantedFields
from pipelines.sources.reader import (
    HEAD_BYTES,
    SourceFiles,
    UnreadableError,
    open_source,
    read_file,
)
from pipelines.sources.walk import ListedFile, Listing
from records.errors import InputNotFoundError, StorageError
from records.images.large_file import LARGE_FILE_BYTES, check_large_file
from records.images.rejection import ImageRejectedError
from records.runtime.row_table import iter_rows
from records.storage import RangeReader, Storage, is_url
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text

_MOST_OPEN_COPIES = 64


class ContainerFiles:
    """The members of containers, by key; see `SourceFiles`. Any number of threads may read them.

    Args:
        location: the local path or URL of the folder with the containers.
        files: the files of this folder.
        containers: the containers.
        copies: the storage of unpacked copies; without it, members of such containers are best
            read in the order of their offsets: see `UnstoredCopy`.
        for_list: whether a list gives the labels; see `list_members`.
        wanted: the columns and fields that the user names.
        new_copies: the copies that the listing writes, if it may.
    """

    def __init__(
        self,
        location: str,
        files: SourceFiles,
        containers: Sequence[Container],
        *,
        copies: Storage | None = None,
        for_list: bool = False,
        wanted: WantedFields = NO_FIELDS,
        new_copies: NewCopies | None = None,
    ) -> None:
        self.location = location
        self.containers = tuple(containers)
        self._files = files
        self._copies = copies
        self._open_copies: dict[int, RangeReader] = {}
        self._unstored: dict[int, UnstoredCopy] = {}
        self._wanted = wanted
        self._new_copies = new_copies
        self._for_list = for_list
        self._members: MemberListing | None = None
        self._table: pa.Table | None = None
        self._by_key: dict[bytes, tuple[int, int, bytes]] | None = None
        self._unchanged: set[int] = set()

    def walk(self, *, follow_symlinks: bool = False) -> Listing:  # noqa: ARG002 - links are refused
        """List all members; later calls return the same listing.

        Raises:
            CorruptDataError: a container is damaged.
            InputNotFoundError: a container cannot be read.
            StorageError: storage failed after retries, or a container changed while it was listed.
        """
        return self.members.listing

    @property
    def members(self) -> MemberListing:
        """List all members, when this is first read. Raises the errors of `walk`."""
        if self._members is None:
            members = list_members(self._windows(self._new_copies), for_list=self._for_list)
            self._require_all_unchanged()
            self._members, self._table = members, members.listing.files.to_table()
        return self._members

    def describe(self) -> str:
        """Return the number and the kinds of the containers: `2 TAR archives`."""
        kinds = Counter(kind_of(container.key).name for container in self.containers)
        return " and ".join(pluralize(count, kind) for kind, count in kinds.items())

    def show_member(self, key: bytes, encoded: bytes) -> str:
        """Return the place of a member, for messages: its container, and its key."""
        number = decode_member(encoded).container
        return f"{self._shown(number)}: {escape_for_display(key_to_text(key))}"

    def find(self, key: bytes, *, follow_symlinks: bool) -> ListedFile | None:  # noqa: ARG002
        """See `SourceFiles.find`."""
        if self._by_key is None:
            self.walk()
            self._by_key = _index(self._table)
        found = self._by_key.get(key)
        return None if found is None else ListedFile(key, *found[:2], member=found[2])

    def read(self, key: bytes, size_bytes: int, *, linked: bool = True) -> bytes:  # noqa: ARG002
        """See `SourceFiles.read`."""
        return self.read_member(self._member(key), size_bytes)

    def read_head(self, key: bytes, *, linked: bool = True) -> bytes:
        """See `SourceFiles.read_head`."""
        return self.read_range(key, 0, HEAD_BYTES, linked=linked)

    def read_range(
        self,
        key: bytes,
        offset: int,
        size_bytes: int,
        *,
        linked: bool = True,  # noqa: ARG002 - links are refused
    ) -> bytes:
        """See `SourceFiles.read_range`."""
        encoded = self._member(key)
        if not offset and (head := self.members.heads.get(encoded)) and size_bytes <= HEAD_BYTES:
            return head[:size_bytes]
        member = decode_member(encoded)
        return read_part(partial(self._read, member.container), member, offset, size_bytes)

    def read_member(self, encoded: bytes, size_bytes: int) -> bytes:
        """Return the content of a member.

        Args:
            encoded: the member, as `Member.encode` returns it.
            size_bytes: the size of the file when it was listed; no more is decompressed.

        Raises:
            UnreadableError: the member is damaged, or is far larger than its image.
            InputNotFoundError: the container cannot be read.
            StorageError: storage failed after retries, or the container has changed since it was
                listed.
        """
        member = decode_member(encoded)
        number = member.container
        is_own = self.containers[number].is_own
        if not is_own and number not in self._unchanged:
            self._require_unchanged(number)
            self._unchanged.add(number)
        read = partial(self._read, number)
        try:
            if size_bytes > LARGE_FILE_BYTES and not is_own:  # its hash is checked first
                check_large_file(partial(read_part, read, member), size_bytes)
            return read_whole(read, member, size_bytes)
        except ImageRejectedError as error:
            raise UnreadableError(error.rejection.detail, error.rejection.reason) from error
        except ChangedMemberError as error:
            if is_own:
                raise StorageError(
                    "a file that this run wrote is damaged",
                    path=self._shown(number),
                    got=str(error),
                    hint="run the same pipeline again: it writes the file again",
                ) from error
            self._require_unchanged(number)
            raise

    def unpack(self, output: Storage, new: NewCopies | None = None) -> None:
        """Write the copies of the containers that need one; see `write_copies`.

        Raises StorageError if a container changed while it was read.
        """
        if write_copies(self._windows(), output, new):
            self._require_all_unchanged()

    def _windows(self, new: NewCopies | None = None) -> list[ByteWindow]:
        block_bytes = REMOTE_BLOCK_BYTES if is_url(self.location) else LOCAL_BLOCK_BYTES
        return [
            ByteWindow(
                self._files,
                container,
                number,
                self._shown(number),
                block_bytes=block_bytes,
                wanted=self._wanted,
                copy=None if new is None else new.open(number, container),
            )
            for number, container in enumerate(self.containers)
        ]

    def _read(self, number: int, offset: int, size_bytes: int) -> bytes:
        container = self.containers[number]
        if container.is_unpacked:
            return self._read_copy(number, offset, size_bytes)
        read = partial(self._files.read_range, container.key, offset, size_bytes)
        try:
            return read_container(read, self._shown(number))
        except InputNotFoundError as error:
            if not container.is_own:
                raise
            raise StorageError(
                "a file that this run wrote is missing",
                path=self._shown(number),
                got=error.got,
                hint="run the same pipeline again: it writes the file again",
            ) from error

    def _read_copy(self, number: int, offset: int, size_bytes: int) -> bytes:
        if self._copies is None:
            if (unstored := self._unstored.get(number)) is None:
                new = UnstoredCopy(self._windows()[number])
                unstored = self._unstored.setdefault(number, new)
            return unstored.read(offset, size_bytes)
        reader = self._open_copies.get(number)
        if reader is None:
            reader = self._copies.open_random_access(copy_name(number, self.containers[number]))
            if len(self._open_copies) >= _MOST_OPEN_COPIES:
                self._open_copies.pop(next(iter(self._open_copies)), None)
            self._open_copies[number] = reader
        return reader.read(offset, size_bytes)

    def _require_all_unchanged(self) -> None:
        for number in range(len(self.containers)):
            self._require_unchanged(number)

    def _require_unchanged(self, number: int) -> None:
        container = self.containers[number]
        found = self._files.find(container.key, follow_symlinks=True)
        is_same = found is not None and (found.size_bytes, found.fingerprint) == (
            container.size_bytes,
            container.fingerprint,
        )
        if not is_same:
            raise StorageError(
                "the container was changed or removed after it was listed",
                path=self._shown(number),
                hint="wait until no program writes to it, and run the same command again",
            )

    def _shown(self, number: int) -> str:
        return escape_for_display(f"{self.location}/{key_to_text(self.containers[number].key)}")

    def _member(self, key: bytes) -> bytes:
        found = self.find(key, follow_symlinks=False)
        if found is None or found.member is None:
            raise UnreadableError("no such file")
        return found.member


def _index(table: pa.Table) -> dict[bytes, tuple[int, int, bytes]]:
    """Return the size, the fingerprint and the member of each key."""
    rows = iter_rows(table, "key", "size_bytes", "fingerprint", "member")
    return {key: (size_bytes, fingerprint, member) for key, size_bytes, fingerprint, member in rows}


def open_images(
    location: str,
    containers: Sequence[Container],
    *,
    follow_symlinks: bool,
    output: Storage | None = None,
) -> SourceFiles:
    """Return an object that reads the images of a source, for `read_image`.

    Args:
        location: the local path or URL of the folder with the images or the containers.
        containers: the containers; none if the images are files.
        follow_symlinks: whether links that lead out of the folder are followed.
        output: the storage with the unpacked copies of containers, if there are any.
    """
    files = open_source(location, follow_symlinks=follow_symlinks)
    if not containers:
        return files
    return ContainerFiles(location, files, containers, copies=output)


def read_image(
    files: SourceFiles,
    key: bytes,
    url: str | None,
    size_bytes: int,
    *,
    linked: bool = True,
    member: bytes | None = None,
) -> bytes:
    """Return the content of an image file, also of one in a container.

    Args:
        files: the result of `open_images`.
        key: the key of the file.
        url: the URL of a file that is not stored below the source.
        size_bytes: the size of the file when it was listed; no more is read.
        linked: whether a part of the path of the key may be a symbolic link.
        member: the place of the file in its container; None for a separate file.

    Raises the errors of `read_file` and `ContainerFiles.read_member`.
    """
    if member is None or not isinstance(files, ContainerFiles):
        return read_file(files, key, url, size_bytes, linked=linked)
    return files.read_member(member, size_bytes)
