"""List of skipped and excluded files, `skipped.jsonl`, one file per generation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import pyarrow as pa

from records.errors import CorruptDataError
from records.format import layout
from records.format.digest import FileDigest, digest_blocks
from records.format.shard import missing_as_corrupt
from records.runtime.row_table import RowTable
from records.storage.ownership import create_recorded, remove_own
from records.strict_json import decode_json
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text, key_to_text

if TYPE_CHECKING:
    from records.format.manifest import Generation
    from records.storage import Storage

Outcome = Literal["skipped", "excluded"]
Reason = Literal[
    "not-an-image",
    "hidden",
    "system",
    "not-a-file",
    "forbidden",
    "listed-elsewhere",
    "not-confirmed",
    "excluded-key",
    "excluded-class",
]
REASONS: Mapping[Reason, tuple[Outcome, str]] = {
    "not-an-image": ("skipped", "neither the extension nor the first bytes are those of an image"),
    "hidden": ("skipped", "the name begins with a dot"),
    "system": ("skipped", "operating systems and storage appliances use this name"),
    "not-a-file": ("skipped", "a pipe, a socket, a device, or the marker of a folder"),
    "forbidden": ("skipped", "permission denied"),
    "listed-elsewhere": ("skipped", "the folder is listed at its real path, or at another link"),
    "not-confirmed": ("skipped", "every row of the list for this image has confidence 0"),
    "excluded-key": ("excluded", "listed in the file of --exclude"),
    "excluded-class": ("excluded", "--classes or --map omits the class"),
}
"""Outcome and detail of each reason."""

_MAX_LINE_BYTES = 64 << 10  # a key has at most 4,095 bytes, which take at most 6 characters each
_LINES_PER_WRITE = 8192


class SkippedFile(msgspec.Struct, frozen=True):
    """A file that was found, and neither stored nor rejected.

    Attributes:
        key: the key as text; that of a folder ends with a slash, and stands for all files in it.
        outcome: `skipped` (not an image) or `excluded` (an image that the user excludes).
        reason: one of `REASONS`, or of those of a later version.
        detail: the description for the user, one printable line.
    """

    key: str
    outcome: Outcome
    reason: str
    detail: str


class _Row(NamedTuple):
    key: bytes
    outcome: str
    reason: str
    detail: str


_WORD = pa.dictionary(pa.int32(), pa.string())
_COLUMNS = pa.schema({"key": pa.large_binary(), "outcome": _WORD, "reason": _WORD, "detail": _WORD})


class SkippedFiles:
    """The skipped and excluded files of a source: about 20 bytes of memory each, and its key."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._rows: RowTable[_Row] = RowTable(_Row, _COLUMNS)

    def add(self, key: bytes, reason: Reason, class_name: str = "") -> None:
        """Add a file; `class_name` is the name of an excluded class."""
        outcome, detail = REASONS[reason]
        if class_name:
            detail += f" {escape_for_display(class_name)}"
        self._append(_Row(key, outcome, reason, detail))

    def append(self, file: SkippedFile) -> None:
        """Add a file of a list that was read."""
        self._append(_Row(key_from_text(file.key), file.outcome, file.reason, file.detail))

    def _append(self, row: _Row) -> None:
        self._rows.append(row)
        self.outcomes[row.outcome] += 1
        self.reasons[row.reason] += 1

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[SkippedFile]:
        """Yield all files, in the order of their keys."""
        self._rows.sort("key")
        for row in self._rows:
            yield SkippedFile(key_to_text(row.key), *row[1:])  # type: ignore[arg-type]

    def first(self, number: int) -> tuple[SkippedFile, ...]:
        """Return the first files, in the order of their keys."""
        return tuple(islice(self, number))


def encode_skipped(files: SkippedFiles) -> bytes | None:
    """Return the content of a list; None for a long one, which only `write_skipped` can write."""
    return b"".join(_lines(files)) if len(files) <= _LINES_PER_WRITE else None


def write_skipped(storage: Storage, name: str, files: SkippedFiles) -> FileDigest:
    """Write the list of a generation that is not published yet, and return its digest.

    Raises:
        OutputError, StorageError: the file cannot be written, or belongs to the user.
    """
    remove_own(storage, name)  # of a killed run, and perhaps different
    lines = _lines(files)
    blocks = iter(lambda: b"".join(islice(lines, _LINES_PER_WRITE)), b"")
    with create_recorded(storage, name) as staged:
        return digest_blocks(blocks, staged.write)


def _lines(files: SkippedFiles) -> Iterator[bytes]:
    return (msgspec.json.encode(file) + b"\n" for file in files)


def read_skipped(storage: Storage, generation: int) -> Iterator[SkippedFile]:
    """Yield the skipped and excluded files of one generation, with one line in memory at a time.

    Raises:
        FileNotFoundError: the file is missing.
        CorruptDataError: the file is damaged.
        StorageError: storage failed after retries.
    """
    name = layout.generation_path(layout.SKIPPED, generation)
    with storage.open(name) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(_MAX_LINE_BYTES), b""), 1):
            try:
                yield decode_json(line, SkippedFile)
            except msgspec.DecodeError as error:
                raise CorruptDataError(
                    "the list of skipped files is damaged",
                    path=f"{storage.display_name(name)} line {number}",
                    got=str(error),
                ) from error


def load_skipped(storage: Storage, generation: Generation) -> SkippedFiles:
    """Return the skipped and excluded files of one generation.

    Raises:
        CorruptDataError: the list is missing or damaged, or the manifest has other counts.
        StorageError: storage failed after retries.
    """
    loaded = SkippedFiles()
    with missing_as_corrupt(storage, layout.generation_path(layout.SKIPPED, generation.number)):
        for file in read_skipped(storage, generation.number):
            loaded.append(file)
    require_counts(storage, generation, loaded.outcomes)
    return loaded


def require_counts(storage: Storage, generation: Generation, outcomes: Mapping[str, int]) -> None:
    """Check the number of files of each outcome in a list. Raises CorruptDataError."""
    counts = generation.counts
    found = [outcomes.get(outcome, 0) for outcome in ("skipped", "excluded")]
    if found != [counts.skipped, counts.excluded]:
        name = layout.generation_path(layout.SKIPPED, generation.number)
        raise CorruptDataError(
            "the list of skipped files does not match the manifest",
            path=storage.display_name(name),
            expected=f"{counts.skipped:,} skipped, {counts.excluded:,} excluded",
            got=f"{found[0]:,} skipped, {found[1]:,} excluded",
        )
