"""From keys to classes and splits: how a source's folders are read, how classes are numbered."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from records.errors import UsageError
from records.format.label_map import LabelMap, check_labels
from records.format.layout import SPLITS, SplitName
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

Layout = Literal["classes", "splits"]

SPLIT_NAMES: Mapping[str, SplitName] = {
    **{name: name for name in SPLITS},
    "val": "validation",
    "valid": "validation",
}
"""What people call the splits."""


class KeyParts(NamedTuple):
    """What a key's folders say: its class folder, or None, and its split, or None."""

    class_folder: bytes | None
    split: SplitName | None


def detect_layout(folders: Iterable[bytes]) -> Layout:
    """`splits` where every top folder is called as a split is, else `classes`."""
    top = {folder for folder in folders if b"/" not in folder}
    return "splits" if top and all(_split_named(folder) for folder in top) else "classes"


def parse_key(key: bytes, layout: Layout) -> KeyParts:
    """The class folder and split of a key; the first folder counts, however deep the file lies."""
    folders = key.split(b"/")[:-1]
    if layout == "classes":
        return KeyParts(folders[0] if folders else None, None)
    split = _split_named(folders[0]) if folders else None
    if folders and split is None:
        raise UsageError(
            "with --layout splits every top folder must be a split's name",
            expected="train, test, val, valid or validation",
            got=key_to_text(folders[0]),
        )
    return KeyParts(folders[1] if len(folders) > 1 else None, split)


def class_folders(folders: Iterable[bytes], layout: Layout) -> set[bytes]:
    """The names of all class folders, empty ones too."""
    depth = 0 if layout == "classes" else 1
    return {folder.split(b"/")[-1] for folder in folders if folder.count(b"/") == depth}


def _split_named(folder: bytes) -> SplitName | None:
    return SPLIT_NAMES.get(folder.decode("utf-8", "replace").lower())


def class_name(folder: bytes) -> str:
    """The class of a folder: its name in Unicode's composed form (NFC), `%XX` where not UTF-8."""
    try:
        name = folder.decode()
    except UnicodeDecodeError:
        name = key_to_text(folder)
    return unicodedata.normalize("NFC", name)


def assign_labels(folders: Iterable[bytes], *, source: str) -> dict[bytes, str]:
    """Class folders and their class names, in the order of their labels (UTF-8 bytes of the name).

    Raises:
        UsageError: two folders become one class, or a name cannot be one.
    """
    names: dict[str, bytes] = {}
    for folder in sorted(folders):
        other = names.setdefault(class_name(folder), folder)
        if other != folder:
            raise UsageError(
                "two class folders have the same name in Unicode's composed form",
                path=source,
                got=f"{other!r} and {folder!r}",
                hint="rename or merge one",
            )
    ordered = dict(sorted(names.items(), key=lambda item: item[0].encode()))
    if ordered:
        check_labels(tuple(ordered), path=source)
    return {folder: name for name, folder in ordered.items()}


def assign_labels_from_list(names: Iterable[str], *, source: str) -> dict[str, str]:
    """Class names as a list gives them, and their composed forms, in the order of their labels."""
    composed: dict[str, str] = {}
    for name in sorted(set(names)):
        normal = unicodedata.normalize("NFC", name)
        other = composed.setdefault(normal, name)
        if other != name:
            raise UsageError(
                "two class names are the same in Unicode's composed form",
                path=source,
                got=f"{other!r} and {name!r}",
            )
    ordered = dict(sorted(composed.items(), key=lambda item: item[0].encode()))
    if ordered:
        check_labels(tuple(ordered), path=source)
    return {name: normal for normal, name in ordered.items()}


def choose_labels(
    present: Iterable[str],
    *,
    classes: tuple[str, ...] | None,
    given: LabelMap | None,
    source: str,
) -> LabelMap:
    """The label map: classes present, narrowed by `--classes`, or as `--labels` numbers them.

    Raises:
        UsageError: a chosen class is not there, or one that is there has no number.
    """
    found = tuple(present)
    if classes is not None:
        chosen = {unicodedata.normalize("NFC", name) for name in classes}
        _refuse_missing("--classes names a class that is not there", chosen - set(found), found)
        return tuple(name for name in found if name in chosen)
    if given is not None:
        _refuse_missing("--labels lacks a class that is there", set(found) - set(given), given)
        return given
    if not found:
        raise UsageError(
            "there are no classes",
            path=escape_for_display(source),
            expected="a folder a class, with its images in it",
            hint="move each class's images into a folder of its own, or name them with --list",
        )
    return found


def extend_labels(kept: LabelMap, found: LabelMap, *, takes_new: bool) -> LabelMap:
    """The label map of a dataset that is added to: numbers stay, new classes come behind.

    Raises:
        UsageError: there are new classes, and none are to be taken.
    """
    new = tuple(name for name in found if name not in kept)
    if new and not takes_new:
        raise UsageError(
            "there are classes that the dataset does not have",
            got=", ".join(map(escape_for_display, new[:10])),
            hint="pass --allow-new-classes to take them, numbered behind those there are, or "
            "--classes to leave them out",
        )
    return (*kept, *new)


def _refuse_missing(what: str, missing: set[str], known: Iterable[str]) -> None:
    if missing:
        raise UsageError(
            what,
            expected=", ".join(map(escape_for_display, list(known)[:10])) or "none",
            got=", ".join(map(escape_for_display, sorted(missing)[:10])),
        )


def label_ids(labels: LabelMap) -> Mapping[str, int]:
    """Label numbers by class name."""
    return {name: number for number, name in enumerate(labels)}
