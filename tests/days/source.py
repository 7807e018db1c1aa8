"""Source that changes every day, in a folder or in a bucket."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Protocol

from records.storage import open_storage
from tests.pipelines.pictures import make_picture

PICTURES = [make_picture(seed) for seed in range(300)]
_NAMES = [
    *(f"{number:02d}.png" for number in range(200)),
    *(f"é, {number}.png" for number in range(5)),
]
_FEWEST_FILES = 30
_MOST_CLASSES = 4


class Place(Protocol):
    """A folder that holds the files of a source; all names are keys."""

    url: str

    def write(self, key: str, content: bytes) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def remove(self, key: str) -> None: ...


class Folder:
    """A local folder."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._path = path

    def write(self, key: str, content: bytes) -> None:
        (self._path / key).parent.mkdir(parents=True, exist_ok=True)
        (self._path / key).write_bytes(content)

    def rename(self, old: str, new: str) -> None:
        (self._path / new).parent.mkdir(parents=True, exist_ok=True)
        (self._path / old).rename(self._path / new)
        self._remove_if_empty(old)

    def remove(self, key: str) -> None:
        (self._path / key).unlink()
        self._remove_if_empty(key)

    def _remove_if_empty(self, key: str) -> None:
        """Remove a class folder without files, as in a bucket."""
        folder = (self._path / key).parent
        if not any(folder.iterdir()):
            folder.rmdir()


class Bucket:
    """A folder of a bucket."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._storage = open_storage(url)

    def write(self, key: str, content: bytes) -> None:
        self._storage.replace(key, content)

    def rename(self, old: str, new: str) -> None:
        self.write(new, self._storage.read(old))
        self.remove(old)

    def remove(self, key: str) -> None:
        self._storage.remove(key)


class Source:
    """Class folders of pictures.

    Attributes:
        files: the content of each file by key.
        folders: the present name of the folder of each class.
    """

    def __init__(self, place: Place, random: Random) -> None:
        self.place = place
        self.files: dict[str, bytes] = {}
        self.folders = {"cat": "cat", "dog": "dog"}
        self._random = random
        self._away: dict[str, bytes] = {}
        for _ in range(60):
            self._add()

    def class_of(self, key: str) -> str:
        """Return the class that a file has with `map_options`."""
        folder = key.partition("/")[0]
        return next(name for name, present in self.folders.items() if present == folder)

    def map_options(self) -> list[str]:
        """Return the options that give renamed class folders their old classes."""
        renamed = [(new, old) for old, new in self.folders.items() if new != old]
        return [word for new, old in renamed for word in ("--map", f"{new}={old}")]

    def live(self) -> None:
        """Make a few random changes."""
        changes = [
            *(self._add, self._add, self._add_many, self._rename, self._move, self._swap),
            *(self._rename_folder, self._copy, self._delete, self._edit, self._move_and_edit),
            *(self._replace, self._touch, self._break, self._add_broken, self._take_away),
            *(self._bring_back, self._add_class),
        ]
        for _ in range(self._random.randint(1, 8)):
            self._random.choice(changes)()

    def _any(self) -> str:
        return self._random.choice(sorted(self.files))

    def _new(self, folder: str | None = None) -> str:
        """Return a key that is free now; another file may have had it before."""
        folder = folder or self._random.choice([*self.folders.values()])
        names = [name for name in _NAMES if f"{folder}/{name}" not in self.files]
        return f"{folder}/{self._random.choice(names)}"

    def _picture(self) -> bytes:
        return self._random.choice(PICTURES)

    def _write(self, key: str, content: bytes) -> None:
        self.place.write(key, content)
        self.files[key] = content

    def _rename_to(self, old: str, new: str) -> None:
        self.place.rename(old, new)
        self.files[new] = self.files.pop(old)

    def _add(self) -> None:
        self._write(self._new(), self._picture())

    def _add_many(self) -> None:
        if len(self.files) < 4 * _FEWEST_FILES:
            for _ in range(self._random.randint(2, 12)):
                self._add()

    def _add_class(self) -> None:
        name = f"class {len(self.folders)}"
        if len(self.folders) < _MOST_CLASSES and self._random.random() < 0.1:
            self.folders[name] = name
            self._write(self._new(name), self._picture())

    def _rename(self) -> str:
        old = self._any()
        new = self._new(old.partition("/")[0])
        self._rename_to(old, new)
        return new

    def _move(self) -> None:
        self._rename_to(self._any(), self._new())

    def _swap(self) -> None:
        one, other, spare = self._any(), self._any(), self._new()
        if one != other:
            self._rename_to(one, spare)
            self._rename_to(other, one)
            self._rename_to(spare, other)

    def _rename_folder(self) -> None:
        name = self._random.choice([*self.folders])
        old, new = self.folders[name], self._random.choice([name, f"{name}ty", f"{name}s"])
        if new != old and self._random.random() < 0.5:
            for key in [key for key in self.files if key.startswith(f"{old}/")]:
                self._rename_to(key, f"{new}/{key.partition('/')[2]}")
            self.folders[name] = new

    def _copy(self) -> None:
        self._write(self._new(), self.files[self._any()])

    def _delete(self) -> None:
        for _ in range(self._random.randint(1, 3)):
            self._remove(self._any())

    def _remove(self, key: str) -> None:
        if len(self.files) > _FEWEST_FILES:
            self.place.remove(key)
            del self.files[key]

    def _edit(self) -> None:
        self._write(self._any(), self._picture())

    def _move_and_edit(self) -> None:
        self._write(self._rename(), self._picture())

    def _replace(self) -> None:
        """Rename a file, and write another one in its place."""
        old = self._any()
        self._rename_to(old, self._new())
        self._write(old, self._picture())

    def _touch(self) -> None:
        key = self._any()
        self._write(key, self.files[key])

    def _break(self) -> None:
        key = self._any()
        self._write(key, break_picture(self.files[key]))

    def _add_broken(self) -> None:
        self._write(self._new(), break_picture(self._picture()))

    def _take_away(self) -> None:
        key = self._any()
        self._away[key] = self.files[key]
        self._remove(key)

    def _bring_back(self) -> None:
        """Write files that are away, perhaps with another content, to their old places."""
        for key, content in [*self._away.items()]:
            if key.partition("/")[0] in self.folders.values():
                self._write(key, self._random.choice([content, content, self._picture()]))
                del self._away[key]


def break_picture(content: bytes) -> bytes:
    """Return the first half of a picture."""
    return content[: len(content) // 2] if is_whole(content) else content


def is_whole(content: bytes) -> bool:
    """Return whether a file of the source can be decoded."""
    return content in _WHOLE


_WHOLE = frozenset(PICTURES)
