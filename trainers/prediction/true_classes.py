"""True classes of image files, from the names of their folders."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from records.errors import UsageError
from records.format.layout import detect_layout
from records.storage import is_url
from records.text.escaping import escape_for_display
from records.text.names import class_name, normalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainers.prediction.image_files import ImageFile

_SHOWN_NAMES = 10


class TrueClasses(NamedTuple):
    """The true classes of files.

    Attributes:
        classes: the class of each file; None if its folder is not a class of the model.
        unknown_folders: the number of files in each folder that is not a class of the model, by
            its name.
    """

    classes: tuple[str | None, ...]
    unknown_folders: Mapping[str, int]


def find_true_classes(files: Sequence[ImageFile], labels: Sequence[str]) -> TrueClasses:
    """Return the true classes of files.

    In a folder that the user has given, the class folders are those that `convert` finds: the
    outermost folders or, if all of these are named after splits, the folders in them. The given
    folder is the class folder of the files in none of them and, if none of them is a class, of all
    files. A single file is in the folder above it.

    Args:
        files: the files, as `find_images` returns them.
        labels: the class names of the model.

    Raises:
        UsageError: no folder is a class of the model.
    """
    known = {normalize_name(label): label for label in labels}
    names = _folder_names(files, known)
    classes = tuple(map(known.get, names))
    unknown = Counter(name for name in names if name not in known)
    if not any(found is not None for found in classes):
        raise UsageError(
            "no folder of the files is named after a class of the model",
            expected=_shorten(labels),
            got=_shorten(sorted(unknown)),
            hint="give folders that contain one folder per class, or omit --truth",
        )
    return TrueClasses(classes, dict(sorted(unknown.items())))


def _folder_names(files: Sequence[ImageFile], known: Mapping[str, str]) -> list[str]:
    """Return the name of the class folder of each file."""
    by_root: dict[str, list[int]] = {}
    for number, file in enumerate(files):
        by_root.setdefault(file.name.removesuffix(file.path), []).append(number)
    names = [""] * len(files)
    for root, numbers in by_root.items():
        own = _own_name(root)
        found = _names_in_root([os.fsencode(files[number].path) for number in numbers])
        is_class = own in known and not any(name in known for name in found)
        for number, name in zip(numbers, found, strict=True):
            names[number] = own if is_class or name is None else name
    return names


def _names_in_root(paths: Sequence[bytes]) -> list[str | None]:
    """Return the name of the class folder in each path; None if there is none."""
    parents = [path.split(b"/")[:-1] for path in paths]
    layout = detect_layout(folders[0] for folders in parents if folders)
    depth = 1 if layout == "splits" else 0
    return [class_name(folders[depth]) if len(folders) > depth else None for folders in parents]


def _own_name(root: str) -> str:
    # `realpath` would give the name of the folder to which a link leads.
    path = root if is_url(root) else os.path.abspath(root)  # noqa: PTH100
    return class_name(os.fsencode(path.rstrip("/").rpartition("/")[2]))


def _shorten(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(map(escape_for_display, names[:_SHOWN_NAMES])) + more
