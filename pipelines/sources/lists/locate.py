"""Files of the source that the paths of a list mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.sources.lists.rows import ListRow
from pipelines.sources.reader import SourceFiles, open_file
from pipelines.sources.walk import ListedFile
from records.errors import UsageError
from records.images import IMAGE_EXTENSIONS
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

_EXTENSIONS = tuple(extension.encode() for extension in IMAGE_EXTENSIONS)
_TESTED_ROWS = 100
_MAX_DEPTH = 8
_MAX_PATTERNS = 3


class Locator:
    """Finds the files of rows: at their paths, or, if none exists, by the ends of their paths.

    A list of IDs, or of paths that are relative to a folder below the source, has no file at any
    path. Then the source is listed once; the file of a row is the only image whose path ends with
    the path of the row, with or without an extension.

    Args:
        files: the source.
        rows: the rows of the list.
        folder: the folder below the source to which the paths belong; empty for the whole source.
        follow_symlinks: whether links that lead out of the source are followed.
    """

    def __init__(
        self, files: SourceFiles, rows: Sequence[ListRow], folder: str, *, follow_symlinks: bool
    ) -> None:
        self._files = files
        self._follow_symlinks = follow_symlinks
        self._folder = f"{folder}/".encode() if folder else b""
        self._patterns: dict[tuple[bytes, bytes], None] = {}
        self._listed: dict[bytes, ListedFile] | None = None
        self._by_tail: dict[int, dict[bytes, tuple[bytes, ...]]] = {}
        tested = [row for row in rows[:_TESTED_ROWS] if row.url is None]
        if tested and not any(self._exists(row) for row in tested):
            listing = files.walk(follow_symlinks=follow_symlinks)
            below = (file for file in listing.files if file.key.startswith(self._folder))
            self._listed = {file.key: file for file in below}

    @property
    def patterns(self) -> list[tuple[str, str]]:
        """Return what precedes and follows the paths of the rows in keys; at most four pairs."""
        return [(key_to_text(before), key_to_text(after)) for before, after in self._patterns]

    def key_of(self, row: ListRow, place: Callable[[], str]) -> bytes:
        """Return the key of a row; that of the row itself if there is no file.

        Args:
            row: the row.
            place: a function that returns the place of the row, for messages.

        Raises:
            UsageError: several files match the path.
        """
        if row.url is not None:
            return row.key
        if self._listed is None:
            if not row.spellings:
                self._note(row.key, row.key)
                return row.key
            keys = (row.key, *row.spellings)
            return next((key for key in keys if self._find(key) is not None), row.key)
        for key in (row.key, *row.spellings):
            found = self._search(key)
            if len(found) > 1:
                raise _several_files(found, key, place())
            if found:
                self._note(found[0], key)
                return found[0]
        return row.key

    def find(self, row: ListRow, key: bytes) -> ListedFile | None:
        """Return the file of a row, None if absent. Raises UsageError for an outside link."""
        if row.url is not None:
            folder, name = open_file(row.url)
            return folder.find(name, follow_symlinks=True)
        return self._find(key) if self._listed is None else self._listed.get(key)

    def _find(self, key: bytes) -> ListedFile | None:
        return self._files.find(key, follow_symlinks=self._follow_symlinks)

    def _exists(self, row: ListRow) -> bool:
        try:
            return any(self._find(key) is not None for key in (row.key, *row.spellings))
        except UsageError:  # a link to the outside; the row may be excluded
            return True

    def _search(self, key: bytes) -> tuple[bytes, ...]:
        """Return the keys that a path can mean; a whole name wins over one without extension."""
        assert self._listed is not None
        if key in self._listed:
            return (key,)
        tail = key.removeprefix(self._folder)
        depth = tail.count(b"/")
        if depth > _MAX_DEPTH:
            return ()
        if depth not in self._by_tail:
            self._by_tail[depth] = self._index(depth)
        return self._by_tail[depth].get(tail) or self._by_tail[depth].get(tail + b"/", ())

    def _index(self, depth: int) -> dict[bytes, tuple[bytes, ...]]:
        """Return at most two keys by their last `depth + 1` parts.

        The parts without an extension have a slash at their end, which no key has.
        """
        keys: dict[bytes, tuple[bytes, ...]] = {}
        for key in self._listed or ():
            tail = b"/".join(key.removeprefix(self._folder).split(b"/")[-depth - 1 :])
            stem = _stem(tail)
            if tail.count(b"/") < depth:
                continue
            for text in (tail,) if stem is None else (tail, stem + b"/"):
                keys[text] = (*keys.get(text, ()), key)[:2]
        return keys

    def _note(self, key: bytes, path: bytes) -> None:
        if len(self._patterns) <= _MAX_PATTERNS:
            tail = path.removeprefix(self._folder)
            before, _, after = key.rpartition(tail)
            self._patterns[before, after] = None


def _stem(name: bytes) -> bytes | None:
    """Return the name of an image without its extension, None if it is not that of an image."""
    lower = name[-10:].lower()
    extension = next((it for it in _EXTENSIONS if lower.endswith(it)), None)
    return None if extension is None else name[: -len(extension)]


def _several_files(found: tuple[bytes, ...], key: bytes, place: str) -> UsageError:
    names = [escape_for_display(key_to_text(name)) for name in found]
    folders = [name.rpartition("/")[0] for name in names]
    hint = (
        "write the extension into the list"
        if folders[0] == folders[1]
        else f"pass --image-folder {folders[0] or '.'} or --image-folder {folders[1] or '.'}"
    )
    return UsageError(
        f"several images match the path {escape_for_display(key_to_text(key))}",
        path=place,
        got=" and ".join(names),
        hint=hint,
    )
