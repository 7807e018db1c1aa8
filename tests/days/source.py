"""Source that changes every day, in a folder or in a bucket."""

from __future__ import annotations

from collections.abc import Mapping
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
_FEWEST_CLASSES = 2
_NEW_CLASSES = ("cat", "dog", "class 2", "class 3")
_SPARE_FOLDER = "spare"


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


def open_place(url: str) -> Place:
    """Return the folder at a path or a URL."""
    return Bucket(url) if "://" in url else Folder(Path(url))


class Source:
    """Class folders of pictures.

    Attributes:
        files: the content of each file by key.
        folders: the present name of the folder of each class; a class has a number.
        merged: the class into whose folder the files of a class were moved.
    """

    def __init__(self, place: Place, random: Random) -> None:
        self.place = place
        self.files: dict[str, bytes] = {}
        self.folders = {0: "cat", 1: "dog"}
        self.merged: dict[int, int] = {}
        self._first_names = dict(self.folders)
        self._random = random
        self._away: dict[str, bytes] = {}
        for _ in range(60):
            self._add()

    def class_of(self, key: str) -> int:
        """Return the class of a file."""
        folder = key.partition("/")[0]
        return next(number for number, present in self.folders.items() if present == folder)

    def find_merged(self, number: int) -> int:
        """Return the class that has the files of a class now."""
        while number not in self.folders:
            number = self.merged[number]
        return number

    def map_options(self, names: Mapping[int, str]) -> list[str]:
        """Return the options that give classes other names than those of their folders."""
        present = {self.class_of(key) for key in self.files}
        pairs = [(self.folders[number], names[number]) for number in sorted(present)]
        renamed = [f"{folder}={name}" for folder, name in pairs if folder != name]
        return [word for pair in renamed for word in ("--map", pair)]

    def live(self) -> None:
        """Make a few random changes."""
        changes = [
            *(self._add, self._add, self._add_many, self._rename, self._move, self._swap),
            *(
                self._rename_folder,
                self._rename_folder,
                self._copy,
                self._delete,
                self._edit,
                self._move_and_edit,
            ),
            *(self._replace, self._touch, self._break, self._add_broken, self._take_away),
            *(self._bring_back, self._add_class, self._merge_folders, self._swap_folders),
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
        names = [name for name in _NEW_CLASSES if name not in self._used_names()]
        if names and self._random.random() < 0.3:
            number, name = len(self._first_names), self._random.choice(names)
            self.folders[number] = self._first_names[number] = name
            self._write(self._new(name), self._picture())

    def _used_names(self) -> set[str]:
        return {*self.folders.values(), *(self._first_names[number] for number in self.folders)}

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
        number = self._random.choice([*self.folders])
        name = self._first_names[number]
        new = self._random.choice([name, f"{name}ty", f"{name}s"])
        if new not in self.folders.values() and self._random.random() < 0.5:
            self._move_files(self.folders[number], new)
            self.folders[number] = new

    def _move_files(self, old: str, new: str) -> None:
        """Move all files of a folder to another one, with the same names."""
        for key in [key for key in self.files if key.startswith(f"{old}/")]:
            self._rename_to(key, f"{new}/{key.partition('/')[2]}")

    def _merge_folders(self) -> None:
        """Move the files of a class to the folder of another class, with other names."""
        if len(self.folders) > _FEWEST_CLASSES and self._random.random() < 0.4:
            old, new = self._random.sample([*self.folders], 2)
            for key in [key for key in self.files if self.class_of(key) == old]:
                self._rename_to(key, self._new(self.folders[new]))
            del self.folders[old]
            self.merged[old] = new

    def _swap_folders(self) -> None:
        """Exchange the names of two class folders."""
        if self._random.random() < 0.25:
            one, other = self._random.sample([*self.folders], 2)
            names = self.folders[one], self.folders[other]
            self._move_files(names[0], _SPARE_FOLDER)
            self._move_files(names[1], names[0])
            self._move_files(_SPARE_FOLDER, names[1])
            self.folders[other], self.folders[one] = names

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
